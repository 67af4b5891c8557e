package reconcile

import (
	"context"
	"strconv"

	"plusone/hotpath/counter"
	"plusone/hotpath/like"
	"plusone/tasks/ledger"
)

// partly compares an item of which Redis knows some users only: those with the
// ledger's rows, and its count with the ledger's, since no cardinality tells it.
func (c *comparison) partly(ctx context.Context, item counter.Item) error {
	p := &partlyItem{comparison: c, id: item.ID}
	for more := true; more; {
		before := c.spent
		err := c.step(ctx, func(ctx context.Context) (err error) {
			more, err = p.page(ctx)
			return err
		})
		if err == nil {
			err = c.breathe(ctx, c.spent-before)
		}
		if err != nil {
			return err
		}
	}
	return within(ctx, p.count)
}

// partlyItem is how far the comparison of a partly resident item has got.
type partlyItem struct {
	*comparison
	id     string
	cursor uint64
}

// page looks the next known users up in the ledger.
func (p *partlyItem) page(ctx context.Context) (more bool, err error) {
	members, next, err := p.pin.Users(ctx, p.id, p.cursor)
	if err != nil {
		return false, err
	}
	p.cursor = next
	var likers, others []counter.Pair
	var suspects []suspect
	for _, m := range members {
		user, liked := counter.Told(m)
		pair := counter.Pair{Item: p.id, User: user}
		switch {
		case user == "": // what makes the item a partly resident one
		case like.CheckUser(user) != nil && liked:
			suspects = append(suspects, suspect{pair, counter.RemoveUser, CauseBadID})
		case like.CheckUser(user) != nil: // asks for nobody: it goes with the item
		case liked:
			likers = append(likers, pair)
		default:
			others = append(others, pair)
		}
	}
	extra, err := p.extra(ctx, likers)
	if err != nil {
		return false, err
	}
	kept, err := p.kept(ctx, others)
	if err != nil {
		return false, err
	}
	if _, err = p.mend(ctx, append(append(suspects, extra...), kept...)); err != nil {
		return false, err
	}
	p.looked(0, len(members))
	return next != 0, p.pin.Keep(ctx)
}

// kept are the users who are known not to like the item, and whom the ledger says
// to like it.
func (p *partlyItem) kept(ctx context.Context, pairs []counter.Pair) ([]suspect, error) {
	known, err := p.look(ctx, pairs, p.ledger.Rows)
	var suspects []suspect
	for i, k := range known {
		if k.Liked && !newer(k.Version, p.pin) {
			suspects = append(suspects, suspect{pairs[i], counter.AddUser, CauseLikeKept})
		}
	}
	return suspects, err
}

// look asks for the rows of pairs.
func (c *comparison) look(ctx context.Context, pairs []counter.Pair,
	rows func(context.Context, []string, []string) ([]ledger.Known, error),
) ([]ledger.Known, error) {
	if len(pairs) == 0 {
		return nil, nil
	}
	items, users := make([]string, len(pairs)), make([]string, len(pairs))
	for i, p := range pairs {
		items[i], users[i] = p.Item, p.User
	}
	return rows(ctx, items, users)
}

// count compares the item's count in Redis with the ledger's, to which it adds
// what the log has in between. When they differ it waits for imports, which bring likes
// to Redis before they commit them, and looks again: if none has brought any since the
// first look, all that it has seen is in the ledger by then.
func (p *partlyItem) count(ctx context.Context) error {
	var before *counter.Weight
	for range 3 {
		w, want, err := p.weighed(ctx)
		switch {
		case err != nil || w == nil:
			return err
		case before != nil && w.Follows(before):
			return p.shift(ctx, w, want)
		}
		before = w
		if err := p.ledger.AwaitImports(ctx, p.shard); err != nil {
			return err
		}
	}
	return nil // busy: another pass will find a quieter moment
}

// weighed returns the count in Redis and what it should be; nil when they are alike.
func (p *partlyItem) weighed(ctx context.Context) (differs *counter.Weight, want int64, err error) {
	var w *counter.Weight
	err = p.weigh(ctx, p.id, func(ctx context.Context) (_ like.Version, resident bool, err error) {
		if w, err = p.pin.Weigh(ctx, p.id); w == nil {
			return 0, false, err
		}
		return w.At, true, err
	}, func(m *ledger.Moment, s ledger.Sums, moved ledger.Sums) error {
		if w.Count == strconv.FormatInt(s.Count+moved.Count, 10) {
			return nil
		}
		// It may be the ledger's count that is wrong, which the check of the books mends.
		s, err := m.Recounted(ctx, p.id)
		differs, want = w, s.Count+moved.Count
		return err
	})
	return differs, want, err
}

func (p *partlyItem) shift(ctx context.Context, w *counter.Weight, want int64) error {
	is, err := strconv.ParseInt(w.Count, 10, 64)
	switch {
	case err != nil:
		return p.drop(ctx, p.id, CausePartCount)
	case is == want:
		return nil
	}
	d := Drift{
		Shard: p.shard, Item: p.id, Side: InCounter,
		Before: w.Count, After: strconv.FormatInt(want, 10), Cause: CausePartCount,
	}
	if !p.dry {
		mended, err := p.pin.Shift(ctx, p.id, w, want-is)
		if err != nil || !mended.Done {
			return err
		}
		d.Before, d.After, d.Repaired = mended.Before, mended.After, true
	}
	p.found(d)
	return nil
}
