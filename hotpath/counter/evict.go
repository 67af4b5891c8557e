package counter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"plusone/hotpath/like"
)

// Use is how an item's set is used. Items without likers have no set and count as
// idle for ever: they cost nothing to load.
type Use struct {
	Idle  time.Duration // since anybody touched it
	Bytes int64         // of memory, about
}

const forever = time.Duration(1<<63 - 1)

// Uses tells how items' sets are used, and is no use itself: to ask for their
// cardinality would be.
func (l *Log) Uses(ctx context.Context, shard int, items []string) ([]Use, error) {
	pipe := l.rdb.Pipeline()
	idle, bytes := make([]*redis.DurationCmd, len(items)), make([]*redis.IntCmd, len(items))
	for i, item := range items {
		idle[i] = pipe.ObjectIdleTime(ctx, l.keys[shard].likers+item)
		bytes[i] = pipe.MemoryUsage(ctx, l.keys[shard].likers+item, 1)
	}
	var reply redis.Error
	if _, err := pipe.Exec(ctx); err != nil && !errors.As(err, &reply) { // e.g. no key
		return nil, fmt.Errorf("ask for idle items of shard %d: %w", shard, unavailable(err))
	}
	uses := make([]Use, len(items))
	for i := range items {
		uses[i] = Use{Idle: idle[i].Val(), Bytes: bytes[i].Val()}
		if idle[i].Err() != nil {
			uses[i].Idle = forever
		}
	}
	return uses, nil
}

// Some returns up to n resident items of a shard, picked at random.
func (l *Log) Some(ctx context.Context, shard, n int) ([]string, error) {
	items, err := l.rdb.HRandField(ctx, l.keys[shard].counts, n).Result()
	if err != nil {
		return nil, fmt.Errorf("pick items of shard %d: %w", shard, unavailable(err))
	}
	return items, nil
}

const (
	evictMost = 64 // items that one script call drops: bounds how long Redis is busy with it
	// lookMost is how long a log may be to be looked through for what may go. When
	// it is longer, the ledger lags behind, and it is the log that takes the memory.
	lookMost = 10_000
)

// Evict makes items cold that the log does not name; it returns how many.
func (l *Log) Evict(ctx context.Context, shard int, items []string) (dropped int, err error) {
	if len(items) == 0 {
		return 0, nil
	}
	named := map[string]bool{}
	end, err := l.look(ctx, shard, func(ch like.Change) { named[ch.Item] = true })
	if errors.Is(err, errLong) {
		return 0, nil
	}
	k := &l.keys[shard]
	for len(items) > 0 && err == nil {
		names, args := []string{k.meta, k.counts, k.log, k.partly, k.votes}, []any{end.String()}
		for len(items) > 0 && len(args) <= evictMost {
			if item := items[0]; !named[item] {
				names = append(names, k.likers+item)
				args = append(args, item)
			}
			items = items[1:]
		}
		var here int
		if here, err = evictScript.run(ctx, l.rdb, names, args...).Int(); err != nil {
			err = fmt.Errorf("evict items of shard %d: %w", shard, unavailable(err))
		}
		dropped += here
	}
	return dropped, err
}

var errLong = errors.New("the log is too long to be looked through")

// look calls see with all changes in a shard's log, oldest first, and returns the
// smallest id that it has not looked at. It gives up with errLong beyond lookMost
// entries.
func (l *Log) look(ctx context.Context, shard int, see func(like.Change)) (like.Version, error) {
	return l.lookFrom(ctx, shard, 0, see)
}

// lookFrom is look for what comes after a version.
func (l *Log) lookFrom(ctx context.Context, shard int, seen like.Version, see func(like.Change)) (like.Version, error) {
	for read := 0; read <= lookMost; {
		entries, err := l.Read(ctx, shard, seen, 500)
		if err != nil {
			return 0, err
		}
		for _, e := range entries {
			for _, ch := range e.Changes {
				see(ch)
			}
			seen = e.Version
		}
		if len(entries) < 500 {
			return seen.Next(), nil
		}
		read += len(entries)
	}
	return 0, errLong
}
