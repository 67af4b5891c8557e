package counter

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/redis/go-redis/v9"

	"plusone/hotpath/like"
)

// open opens a shard. It reports false when the log holds entries that the
// ledger lacks: they must be drained first.
func (c *Counter) open(ctx context.Context, shard int) (bool, error) {
	k := &c.keys[shard]
	for range 3 { // purging, freezing and opening may have to take turns with others
		known, err := c.src.Settled(ctx, c.opt.Shards, shard)
		if err != nil {
			return false, fmt.Errorf("open shard %d: %w", shard, err)
		}
		if err := c.opt.Fence.Err(ctx); err != nil {
			return false, fmt.Errorf("open shard %d: %w", shard, err)
		}
		frozen, err := bringFreezes(ctx, c.plain, c.src, k, c.opt.Shards, shard)
		if err != nil {
			return false, fmt.Errorf("open shard %d: %w", shard, err)
		}
		state, err := openScript.run(ctx, c.plain, []string{k.meta, k.counts, k.log, k.partly, k.votes, k.refs},
			c.opt.Shards, known.Watermark.String(), known.Floor.Next().String(), rand.Text(), frozen).Text()
		if err != nil {
			return false, fmt.Errorf("open shard %d: %w", shard, err)
		}
		switch state {
		case "open":
			return true, nil
		case "opened":
			c.meter.opened.Inc()
			return true, nil
		case "pending":
			return false, nil
		case "frozen":
			continue
		case "layout":
			return false, fmt.Errorf("shard %d is open for, or moving to, another number of shards than %d", shard, c.opt.Shards)
		}
		if err := purge(ctx, c.plain, k); err != nil {
			return false, fmt.Errorf("open shard %d: %w", shard, err)
		}
	}
	return false, fmt.Errorf("open shard %d: others keep changing it", shard)
}

// purge drops every resident item of a closed shard, page by page.
func purge(ctx context.Context, rdb redis.UniversalClient, k *keys) error {
	for {
		page, _, err := rdb.HScan(ctx, k.counts, 0, "", 500).Result()
		if err != nil || len(page) == 0 {
			return err
		}
		names, items := []string{k.meta, k.counts}, make([]any, 0, len(page)/2)
		for i := 0; i < len(page); i += 2 {
			names = append(names, k.likers+page[i])
			items = append(items, page[i])
		}
		for len(items) > 0 { // a small hash comes as one page, whatever was asked for
			n := min(len(items), 500)
			here := append([]string{k.meta, k.counts}, names[2:2+n]...)
			dropped, err := purgeScript.run(ctx, rdb, here, items[:n]...).Int()
			if err != nil || dropped == 0 {
				return err // 0: somebody has opened it
			}
			names, items = append(names[:2], names[2+n:]...), items[n:]
		}
	}
}

// verify looks at a server that was not looked at yet: shards whose log is
// behind the ledger are closed, the others hear which items are frozen, then its run
// id is trusted.
func (c *Counter) verify(ctx context.Context) error {
	id, err := runID(ctx, c.plain)
	if err != nil {
		return fmt.Errorf("look at redis: %w", err)
	}
	for shard := range c.keys {
		if err := c.check(ctx, shard); err != nil {
			return fmt.Errorf("compare the log of shard %d with the ledger: %w", shard, err)
		}
	}
	// The shards were looked at over other connections than the run id.
	if again, err := runID(ctx, c.plain); err != nil || again != id {
		return fmt.Errorf("redis changed while it was looked at: %w", err)
	}
	c.guard.trust(id)
	return nil
}

func (c *Counter) check(ctx context.Context, shard int) error {
	known, err := c.src.Settled(ctx, c.opt.Shards, shard)
	if err != nil {
		return err
	}
	closed, err := closeIfBehind(ctx, c.plain, &c.keys[shard], known.End, c.opt.Shards)
	if closed {
		c.meter.closedShards.Inc()
	}
	if err == nil && !closed {
		_, err = bringFreezes(ctx, c.plain, c.src, &c.keys[shard], c.opt.Shards, shard)
	}
	return err
}

func closeIfBehind(ctx context.Context, rdb redis.UniversalClient, k *keys, end like.Version, shards int) (closed bool, err error) {
	fit, err := checkScript.run(ctx, rdb, []string{k.meta, k.log}, end.Next().String(), end.String(), shards).Int()
	return err == nil && fit == 0, err
}

// CloseIfBehind closes a shard whose log has not given the id end, which the ledger
// knows of: it has lost changes, and new ids would lose against what the ledger has.
// Ops reopen it above.
func (l *Log) CloseIfBehind(ctx context.Context, shard int, end like.Version) (closed bool, err error) {
	closed, err = closeIfBehind(ctx, l.rdb, &l.keys[shard], end, len(l.keys))
	if err != nil {
		err = fmt.Errorf("compare the log of shard %d with the ledger: %w", shard, unavailable(err))
	}
	return closed, err
}
