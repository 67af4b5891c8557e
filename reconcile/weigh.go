package reconcile

import (
	"context"

	"plusone/hotpath/counter"
	"plusone/hotpath/like"
	"plusone/tasks/ledger"
)

// weigh looks at an item's sums on both sides: read reads those in Redis and tells of
// which moment of the log they are, or that there is nothing to read; judge gets what
// the ledger has at one moment, and by how much the log in between moves it. When a
// drain has moved some of that meanwhile, and it may have been trimmed, it begins again.
func (c *comparison) weigh(ctx context.Context, item string,
	read func(context.Context) (at like.Version, ok bool, err error),
	judge func(m *ledger.Moment, s, moved ledger.Sums) error,
) error {
	for range 100 {
		again := false
		err := c.ledger.AtOnce(ctx, func(m *ledger.Moment) error {
			sums, watermark, err := m.Sums(ctx, c.shard, item)
			if err != nil {
				return err
			}
			at, ok, err := read(ctx)
			if err != nil || !ok {
				return err
			}
			said, err := c.pin.Since(ctx, item, watermark, at)
			if err != nil {
				return err
			}
			if now, err := c.ledger.Bounds(ctx, c.shard); err != nil || now.Watermark != watermark && !c.pin.Keeps(watermark) {
				again = true
				return err
			}
			moved, err := c.moved(ctx, m, item, said)
			if err != nil {
				return err
			}
			return judge(m, sums, moved)
		})
		if err != nil || !again {
			return err
		}
	}
	return nil // busy: another pass will find a quieter moment
}

// moved is by how much what the log says of an item moves the sums of the ledger.
func (c *comparison) moved(ctx context.Context, m *ledger.Moment, item string, said map[string]like.Change) (moved ledger.Sums, err error) {
	var pairs []counter.Pair
	var refs []string
	for user, ch := range said {
		if ref, vote := ch.Vote(); vote {
			refs = append(refs, ref)
			continue
		}
		pairs = append(pairs, counter.Pair{Item: item, User: user})
	}
	known, err := c.look(ctx, pairs, m.Rows)
	if err != nil {
		return moved, err
	}
	for i, k := range known {
		if will := said[pairs[i].User].Liked; will != k.Liked {
			moved.Count += map[bool]int64{true: 1, false: -1}[will]
		}
	}
	if len(refs) == 0 {
		return moved, nil
	}
	votes, err := m.Votes(ctx, item, refs)
	if err != nil {
		return moved, err
	}
	for i, v := range votes {
		ch := said[like.VoteUser(refs[i])]
		moved.Votes += ch.State().Adds() - v.Adds()
	}
	moved.Count += moved.Votes
	return moved, nil
}
