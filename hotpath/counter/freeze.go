package counter

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"plusone/hotpath/like"
)

// Freezer tells which items are frozen.
type Freezer interface {
	// Freezes returns the changes of a shard's items above after, each item's last
	// one, in the order of their versions, at most limit.
	Freezes(ctx context.Context, shards, shard int, after int64, limit int) ([]like.Freeze, error)
}

// freezePage is how many changes one script call brings.
const freezePage = 500

// A shard's mark of frozen items is "shards version": the layout and the last change
// that it has heard of. Items of another layout are forgotten first.
//
// A shard that opens, and every shard of a server that was not looked at yet, hears
// of all changes that the ledger had by then. Who freezes an item brings the change
// to Redis once the ledger has it. So whatever a server loses, a FLUSHALL or a
// failover to an old copy, it has heard of the change before it takes an op.
func markOf(shards int, version int64) string {
	return strconv.Itoa(shards) + " " + strconv.FormatInt(version, 10)
}

// bringFreezes brings a shard, open or closed, all that the ledger says of frozen
// items, and returns the shard's mark.
func bringFreezes(ctx context.Context, rdb redis.UniversalClient, src Freezer, k *keys, shards, shard int) (mark string, err error) {
	for {
		mark, err := rdb.HGet(ctx, k.meta, "froze").Result()
		if err != nil && !errors.Is(err, redis.Nil) {
			return "", fmt.Errorf("ask shard %d for frozen items: %w", shard, unavailable(err))
		}
		after, known := afterOf(mark, shards)
		page, err := src.Freezes(ctx, shards, shard, after, freezePage)
		if err != nil || len(page) == 0 && known {
			return mark, err
		}
		args := []any{mark, "", !known}
		for _, f := range page {
			after = f.Version
			args = append(args, f.Item, f.Frozen)
		}
		args[1] = markOf(shards, after)
		if err := freezeScript.run(ctx, rdb, []string{k.meta}, args...).Err(); err != nil {
			return "", fmt.Errorf("freeze items of shard %d: %w", shard, unavailable(err))
		}
	}
}

// afterOf reads a mark. One of another layout is not known; none at all is the
// beginning.
func afterOf(mark string, shards int) (after int64, known bool) {
	if mark == "" {
		return 0, true
	}
	layout, version, _ := strings.Cut(mark, " ")
	after, err := strconv.ParseInt(version, 10, 64)
	if err != nil || layout != strconv.Itoa(shards) {
		return 0, false
	}
	return after, true
}

// BringFreezes brings a shard what src says of frozen items. It does no harm at any
// time, also while writes do not go to Redis. Errors: like.ErrUnavailable.
func (l *Log) BringFreezes(ctx context.Context, src Freezer, shard int) error {
	_, err := bringFreezes(ctx, l.rdb, src, &l.keys[shard], len(l.keys), shard)
	return err
}

// Thawed names the shards that have not heard of all changes: newest is the last one
// of each shard that has any.
func (l *Log) Thawed(ctx context.Context, newest map[int]int64) (shards []int, err error) {
	if len(newest) == 0 {
		return nil, nil
	}
	asked := map[int]*redis.StringCmd{}
	_, _ = l.rdb.Pipelined(ctx, func(pipe redis.Pipeliner) error { // each answer has its own error
		for shard := range newest {
			asked[shard] = pipe.HGet(ctx, l.keys[shard].meta, "froze")
		}
		return nil
	})
	for shard, a := range asked {
		switch err := a.Err(); {
		case err != nil && !errors.Is(err, redis.Nil):
			return nil, fmt.Errorf("ask shard %d for frozen items: %w", shard, unavailable(err))
		case a.Val() != markOf(len(l.keys), newest[shard]):
			shards = append(shards, shard)
		}
	}
	return shards, nil
}
