package counter

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"plusone/hotpath/like"
)

// ErrPending: entries above the watermark wait for a drain.
var ErrPending = errors.New("the log has entries that the ledger lacks")

// dropMost is how many items one script call drops: bounds how long Redis is
// busy with it.
const dropMost = 256

// Server names the Redis server that answers: another name means that it has been
// started again, or is another one.
func (l *Log) Server(ctx context.Context) (string, error) {
	id, err := runID(ctx, l.rdb)
	if err != nil {
		return "", fmt.Errorf("ask redis who it is: %w", unavailable(err))
	}
	return id, nil
}

// Drop makes items cold, whatever Redis has of them, and refuses what others have
// read in the ledger to load them before. Errors: ErrPending.
func (l *Log) Drop(ctx context.Context, shard int, watermark like.Version, items []string) error {
	for len(items) > 0 {
		n := min(len(items), dropMost)
		if _, err := l.rejoin(ctx, shard, watermark, "", items[:n]); err != nil {
			return fmt.Errorf("drop items of shard %d: %w", shard, err)
		}
		items = items[n:]
	}
	return nil
}

// Rejoin puts a marker above the floor into a drained log and returns its
// version, which all later ones are above. Errors: ErrPending.
func (l *Log) Rejoin(ctx context.Context, shard int, watermark, floor like.Version) (like.Version, error) {
	id, err := l.rejoin(ctx, shard, watermark, floor.Next().String(), nil)
	var end like.Version
	if err == nil {
		end, err = like.ParseVersion(id)
	}
	if err != nil {
		err = fmt.Errorf("mark the log of shard %d: %w", shard, err)
	}
	return end, err
}

func (l *Log) rejoin(ctx context.Context, shard int, watermark like.Version, marker string, items []string) (string, error) {
	k := &l.keys[shard]
	names, args := []string{k.meta, k.counts, k.log, k.partly, k.votes}, []any{watermark.String(), marker, rand.Text()}
	for _, item := range items {
		names = append(names, k.likers+item)
		args = append(args, item)
	}
	reply, err := rejoinScript.run(ctx, l.rdb, names, args...).Text()
	switch {
	case err != nil:
		return "", unavailable(err)
	case reply == "pending":
		return "", ErrPending
	}
	return reply, nil
}
