package reconcile

import (
	"context"
	"strconv"

	"plusone/hotpath/counter"
	"plusone/hotpath/like"
	"plusone/tasks/ledger"
)

// votes compares the sums of votes of the items that were seen, where those differ,
// and returns by how much its repairs moved (or would move, in a dry run) each.
func (c *comparison) votes(ctx context.Context, seen []counter.Item) (map[string]int64, error) {
	var ids []string
	var items []counter.Item
	for _, item := range seen {
		if item.Resident && like.CheckItem(item.ID) == nil {
			ids, items = append(ids, item.ID), append(items, item)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	sizes, err := c.ledger.Sizes(ctx, ids)
	if err != nil {
		return nil, err
	}
	moved := map[string]int64{}
	for i, item := range items {
		if sumIs(item.Votes, sizes[i].Votes) {
			continue
		}
		if moved[item.ID], err = c.tally(ctx, item.ID); err != nil {
			return nil, err
		}
	}
	return moved, nil
}

// tally compares the sum of an item's votes in Redis with the ledger's, to which it
// adds what the log has in between.
func (c *comparison) tally(ctx context.Context, item string) (by int64, err error) {
	var t *counter.Tally
	err = c.weigh(ctx, item, func(ctx context.Context) (_ like.Version, resident bool, err error) {
		if t, err = c.pin.Tally(ctx, item); t == nil {
			return 0, false, err
		}
		return t.At, true, err
	}, func(m *ledger.Moment, s, moved ledger.Sums) error {
		if sumIs(t.Votes, s.Votes+moved.Votes) {
			return nil
		}
		// It may be the ledger's sum that is wrong, which the check of the books mends.
		s, err := m.Recounted(ctx, item)
		if err != nil || sumIs(t.Votes, s.Votes+moved.Votes) {
			return err
		}
		by, err = c.retally(ctx, item, t, s.Votes+moved.Votes)
		return err
	})
	return by, err
}

func (c *comparison) retally(ctx context.Context, item string, t *counter.Tally, want int64) (by int64, err error) {
	d := Drift{
		Shard: c.shard, Item: item, Side: InCounter,
		Before: t.Votes, After: strconv.FormatInt(want, 10), Cause: CauseVotes,
	}
	if !c.dry {
		mended, err := c.pin.Retally(ctx, item, t, d.After)
		if err != nil || !mended.Done {
			return 0, err
		}
		d.Repaired = true
	}
	c.found(d)
	was, _ := strconv.ParseInt(t.Votes, 10, 64)
	return want - was, nil
}

// refs compares what Redis knows of votes with the ledger's rows. It needs no pin: an
// answer of the ledger that has the log up to the last change of a vote must have that
// change, and a repair is made only while it is the last.
func (p *pass) refs(ctx context.Context, shard int) error {
	for cursor, more := uint64(0), true; more; {
		err := within(ctx, func(ctx context.Context) error {
			known, next, err := p.log.KnownVotes(ctx, shard, cursor)
			if err != nil {
				return err
			}
			cursor, more = next, next != 0
			return p.refsPage(ctx, shard, known)
		})
		if err == nil {
			err = p.pay(ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *pass) refsPage(ctx context.Context, shard int, known []counter.KnownVote) error {
	var fit []counter.KnownVote
	var items, refs []string
	var shards []int
	for _, v := range known {
		if like.CheckItem(v.Item) == nil && like.CheckUser(v.Ref) == nil {
			fit, items, refs, shards = append(fit, v), append(items, v.Item), append(refs, v.Ref), append(shards, shard)
		} else if err := p.revote(ctx, shard, v, like.VoteState{}, CauseBadID); err != nil {
			return err
		}
	}
	rows, marks, err := p.ledger.Votes(ctx, items, refs, shards)
	if err != nil {
		return err
	}
	p.looked(0, len(fit))
	for i, v := range fit {
		cause := CauseVoteStale
		switch row := rows[i]; {
		case v.State == row, v.State.Version > marks[i]: // alike, or not drained
			continue
		case v.State.Known && v.State.Version > row.Version:
			cause = CauseVoteLost
		}
		if err := p.revote(ctx, shard, v, rows[i], cause); err != nil {
			return err
		}
	}
	return nil
}

// revote mends one of them. A row that is there and no older is believed.
func (p *pass) revote(ctx context.Context, shard int, v counter.KnownVote, row like.VoteState, cause string) error {
	forget := cause != CauseVoteLost
	d := Drift{Shard: shard, Item: v.Item, User: like.VoteUser(v.Ref), Side: InLedger, Before: said(row), After: said(v.State), Cause: cause}
	if forget {
		d.Side, d.Before, d.After = InCounter, d.After, d.Before
	}
	if !p.dry {
		done, err := p.log.Revote(ctx, shard, v, forget)
		if err != nil || !done {
			return err
		}
		d.Repaired = true
		if !forget {
			p.opt.Ring(shard)
		}
	}
	p.found(d)
	return nil
}

// said spells what became of a vote.
func said(s like.VoteState) string {
	weight := strconv.Itoa(int(s.Weight))
	switch {
	case !s.Known:
		return "unknown"
	case s.Counted:
		return "counts with " + weight
	}
	return "given back, " + weight
}
