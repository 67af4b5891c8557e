package counter

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"

	"plusone/hotpath/like"
)

// The number of shards changes in these steps. Until the last one is done no
// process can write: neither those with the old number nor those with the new.
//
//	Move     every shard says "moving to N": closed, and not to be opened
//	Waiting  until the ledger has what the logs hold
//	         (the ledger changes its own layout)
//	Retire   shards that the new number does not have are dropped, and all say
//	         "moved to N": to be opened for N only
//
// A crash in between is repaired by beginning again. A copy of Redis from before
// is known by its logs, which end below the watermarks: what it says of another
// number does not count then. Only "moving to N" always does, since it may be
// true.

// Move closes every shard until Retire; also those that only the new number has.
// A process with the new number may be left from earlier: what it wrote to one
// shard while another is drained would be lost.
func (l *Log) Move(ctx context.Context, to int) error {
	_, err := l.rdb.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for s := range max(len(l.keys), to) {
			pipe.HSet(ctx, keysOf(s).meta, "shards", movingTo(to), "gen", "")
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("close the shards: %w", unavailable(err))
	}
	return nil
}

// Waiting returns a shard whose log holds more than its watermark says, -1 when
// there is none.
func (l *Log) Waiting(ctx context.Context, watermarks map[int]like.Version) (int, error) {
	for s := range l.keys {
		first, err := l.Read(ctx, s, watermarks[s], 1)
		if err != nil || len(first) > 0 {
			return s, err
		}
	}
	return -1, nil
}

// Retire drops what the shards from number to on hold, which stay closed, and lets
// the others be opened. Users fall into other shards then: their quotas start anew.
func (l *Log) Retire(ctx context.Context, to int) error {
	for s := range l.keys {
		if err := l.rdb.Unlink(ctx, l.keys[s].quota, l.keys[s].reserved).Err(); err != nil {
			return fmt.Errorf("drop the quotas of shard %d: %w", s, unavailable(err))
		}
	}
	for s := to; s < len(l.keys); s++ {
		k := &l.keys[s]
		err := purge(ctx, l.rdb, k)
		if err == nil {
			err = l.rdb.Unlink(ctx, k.counts, k.log, k.recent, k.pin, k.partly, k.votes, k.refs).Err()
		}
		if err != nil {
			return fmt.Errorf("retire shard %d: %w", s, unavailable(err))
		}
	}
	return l.arrive(ctx, to)
}

// arrive ends the move.
func (l *Log) arrive(ctx context.Context, to int) error {
	for s := range max(len(l.keys), to) {
		meta := keysOf(s).meta
		says, err := l.rdb.HGet(ctx, meta, "shards").Result()
		if err == nil && says == movingTo(to) {
			err = l.rdb.HSet(ctx, meta, "shards", movedTo(to)).Err()
		}
		if err != nil && !errors.Is(err, redis.Nil) {
			return fmt.Errorf("end the move of shard %d: %w", s, unavailable(err))
		}
	}
	return nil
}

func movingTo(to int) string { return "moving to " + strconv.Itoa(to) }
func movedTo(to int) string  { return "moved to " + strconv.Itoa(to) }

// OpenFor tells for how many shards each shard of Redis is open: a number, "" for
// a closed one, "moving to N" while that is being changed, "moved to N" until it
// is opened.
func (l *Log) OpenFor(ctx context.Context) ([]string, error) {
	asked := make([]*redis.StringCmd, len(l.keys))
	_, _ = l.rdb.Pipelined(ctx, func(pipe redis.Pipeliner) error { // each answer has its own error
		for shard := range l.keys {
			asked[shard] = pipe.HGet(ctx, l.keys[shard].meta, "shards")
		}
		return nil
	})
	open := make([]string, len(asked))
	for shard, a := range asked {
		if err := a.Err(); err != nil && !errors.Is(err, redis.Nil) {
			return nil, fmt.Errorf("look at shard %d: %w", shard, unavailable(err))
		}
		open[shard] = a.Val()
	}
	return open, nil
}

// CheckOpen counts the open ones of what OpenFor tells. The error names a shard
// that is for another number of shards than there are: its ops are refused.
func CheckOpen(shards []string) (open int, err error) {
	mine := strconv.Itoa(len(shards))
	for shard, is := range shards {
		switch is {
		case mine:
			open++
		case "", movedTo(len(shards)):
		default:
			return open, fmt.Errorf("shard %d of Redis is for another number of shards (%q, not %s): its likes are refused", shard, is, mine)
		}
	}
	return open, nil
}
