package reconcile

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"plusone/hotpath/counter"
	"plusone/hotpath/like"
	"plusone/tasks/ledger"
)

// comparison looks at items of one shard under one pin.
type comparison struct {
	*pass
	shard int
	pin   *counter.Pin
}

// suspect is a pair that differs, and what would mend it.
type suspect struct {
	pair  counter.Pair
	fix   counter.Fix
	cause string
}

// items compares a few items: small ones together, large ones page by page.
func (c *comparison) items(ctx context.Context, ids []string) error {
	var seen []counter.Item
	err := c.step(ctx, func(ctx context.Context) (err error) {
		seen, err = c.pin.Look(ctx, ids)
		return err
	})
	if err != nil {
		return err
	}
	var voted map[string]int64
	err = within(ctx, func(ctx context.Context) (err error) {
		voted, err = c.votes(ctx, seen)
		return err
	})
	if err != nil {
		return err
	}
	var small []counter.Item
	for _, item := range seen {
		item.Votes = after(item.Votes, voted[item.ID])
		switch {
		case !item.Resident:
			continue
		case like.CheckItem(item.ID) != nil:
			err = within(ctx, func(ctx context.Context) error { return c.drop(ctx, item.ID, CauseBadID) })
		case item.Size < 0:
			err = within(ctx, func(ctx context.Context) error { return c.drop(ctx, item.ID, CauseSetBroken) })
		case item.Partly:
			err = c.partly(ctx, item)
		case item.Listed:
			small = append(small, item)
		default:
			err = c.large(ctx, item)
		}
		if err != nil {
			return err
		}
	}
	err = c.step(ctx, func(ctx context.Context) error { return c.small(ctx, small) })
	if errors.Is(err, errLarge) {
		for err = nil; err == nil && len(small) > 0; small = small[1:] {
			err = c.large(ctx, small[0])
		}
	}
	if err != nil {
		return err
	}
	c.looked(len(seen), 0)
	return within(ctx, c.pin.Keep)
}

// smallRows is how many rows the ledger may have of items that are compared
// together. A set that was lost looks small in Redis, whatever it was.
const smallRows = 2 * lookItems * counter.ListMost

var errLarge = errors.New("the ledger has too many rows for one comparison")

// small compares wholly listed items with their rows, in one query.
func (c *comparison) small(ctx context.Context, items []counter.Item) error {
	if len(items) == 0 {
		return nil
	}
	ids := make([]string, len(items))
	for i, item := range items {
		ids[i] = item.ID
	}
	rows, err := c.ledger.Pairs(ctx, ids, smallRows)
	if err != nil {
		return err
	}
	if len(rows) == smallRows {
		return errLarge
	}
	liked := make(map[counter.Pair]ledger.LikedRow, len(rows))
	for _, row := range rows {
		liked[counter.Pair{Item: row.Item, User: row.User}] = row
	}
	var extra []counter.Pair
	var stray []suspect
	pairs := len(rows)
	for _, item := range items {
		for _, user := range item.Users {
			pair := counter.Pair{Item: item.ID, User: user}
			if like.CheckUser(user) != nil {
				stray = append(stray, suspect{pair, counter.RemoveUser, CauseBadID})
				continue
			}
			if _, both := liked[pair]; both {
				delete(liked, pair)
				continue
			}
			extra = append(extra, pair)
		}
	}
	suspects, err := c.extra(ctx, extra)
	if err != nil {
		return err
	}
	suspects = slices.Concat(suspects, stray, c.missing(liked))
	moved, err := c.mend(ctx, suspects)
	if err != nil {
		return err
	}
	for _, item := range items {
		if err := c.count(ctx, item, moved[item.ID]); err != nil {
			return err
		}
	}
	c.looked(0, pairs+len(extra))
	return nil
}

// missing are pairs that only the ledger has.
func (c *comparison) missing(liked map[counter.Pair]ledger.LikedRow) []suspect {
	var suspects []suspect
	for pair, row := range liked {
		if !newer(row.Version, c.pin) {
			suspects = append(suspects, suspect{pair, counter.AddUser, CauseSetLost})
		}
	}
	return suspects
}

// extra sorts pairs that the set has and no liked row of the ledger: those
// without a row are lost there, those with an unlike were kept here.
func (c *comparison) extra(ctx context.Context, pairs []counter.Pair) ([]suspect, error) {
	known, err := c.look(ctx, pairs, c.ledger.Rows)
	if err != nil {
		return nil, err
	}
	var suspects []suspect
	for i, k := range known {
		switch {
		case !k.Has:
			suspects = append(suspects, suspect{pairs[i], counter.AppendUser, CauseLedgerLost})
		case !k.Liked && !newer(k.Version, c.pin):
			suspects = append(suspects, suspect{pairs[i], counter.RemoveUser, CauseUnlikeLost})
		}
	}
	return suspects, nil
}

// mend repairs the suspects that no entry after the pin explains; it returns by
// how much each item's cardinality moved (or would move, in a dry run).
func (c *comparison) mend(ctx context.Context, suspects []suspect) (map[string]int64, error) {
	if len(suspects) == 0 {
		return nil, nil
	}
	pairs := make([]counter.Pair, len(suspects))
	for i, s := range suspects {
		pairs[i] = s.pair
	}
	named, err := c.pin.Named(ctx, pairs)
	if err != nil {
		return nil, err
	}
	still, err := c.still(ctx, suspects, named)
	if err != nil {
		return nil, err
	}
	moved := map[string]int64{}
	for i, s := range suspects {
		if !still[i] {
			continue
		}
		did, err := c.fix(ctx, s)
		if err != nil {
			return moved, err
		}
		if did {
			moved[s.pair.Item] += shift[s.fix]
		}
	}
	return moved, nil
}

// still looks once more at suspects that no entry names, and tells which of them differ
// from the ledger's rows as they are now. An import brings its rows to Redis before it
// commits them, and no entry names those.
func (c *comparison) still(ctx context.Context, suspects []suspect, named []bool) ([]bool, error) {
	still := make([]bool, len(suspects))
	var pairs []counter.Pair
	var places []int
	for i, s := range suspects {
		switch {
		case named[i]:
		case s.cause == CauseBadID: // the ledger has no such user
			still[i] = true
		default:
			pairs, places = append(pairs, s.pair), append(places, i)
		}
	}
	if len(pairs) == 0 {
		return still, nil
	}
	if err := c.ledger.AwaitImports(ctx, c.shard); err != nil {
		return nil, err
	}
	known, err := c.look(ctx, pairs, c.ledger.Rows)
	for n, k := range known {
		still[places[n]] = wants[suspects[places[n]].fix](k)
	}
	return still, err
}

// wants tells what the ledger must say for a repair to be right.
var wants = map[counter.Fix]func(ledger.Known) bool{
	counter.AddUser:    func(k ledger.Known) bool { return k.Liked },
	counter.RemoveUser: func(k ledger.Known) bool { return k.Has && !k.Liked },
	counter.AppendUser: func(k ledger.Known) bool { return !k.Has },
}

// shift is by how much a repair moves an item's cardinality.
var shift = map[counter.Fix]int64{counter.AddUser: 1, counter.RemoveUser: -1}

// findings describes a repair of a pair.
var findings = map[counter.Fix]Drift{
	counter.AddUser:    {Side: InCounter, Before: "not liked", After: "liked"},
	counter.RemoveUser: {Side: InCounter, Before: "liked", After: "not liked"},
	counter.AppendUser: {Side: InLedger, Before: "no row", After: "liked"},
}

func (c *comparison) fix(ctx context.Context, s suspect) (bool, error) {
	d := findings[s.fix]
	d.Shard, d.Item, d.User, d.Cause = c.shard, s.pair.Item, s.pair.User, s.cause
	if !c.dry {
		mended, err := c.pin.Mend(ctx, s.fix, s.pair)
		if err != nil || !mended.Done {
			return false, err
		}
		d.Repaired = true
		if s.fix == counter.AppendUser {
			c.opt.Ring(c.shard)
		}
	}
	c.found(d)
	return true, nil
}

// after is a sum of votes that has moved.
func after(votes string, by int64) string {
	n, err := strconv.ParseInt(votes, 10, 64)
	if err != nil && by == 0 {
		return votes
	}
	return strconv.FormatInt(n+by, 10)
}

// count compares an item's count with its cardinality and votes, once those are right.
func (c *comparison) count(ctx context.Context, item counter.Item, moved int64) error {
	votes, err := strconv.ParseInt(item.Votes, 10, 64)
	if err != nil && item.Votes != "" {
		return nil // something that nobody could mend now
	}
	size := strconv.FormatInt(item.Size+votes+moved, 10)
	d := Drift{
		Shard: c.shard, Item: item.ID, Side: InCounter,
		Before: item.Count, After: size, Cause: CauseSetCount,
	}
	if item.Count == strconv.FormatInt(item.Size+votes, 10) && moved == 0 || c.dry && item.Count == size {
		return nil
	}
	if !c.dry {
		mended, err := c.pin.Mend(ctx, counter.SetCount, counter.Pair{Item: item.ID})
		if err != nil || !mended.Done {
			return err
		}
		d.Before, d.After, d.Repaired = mended.Before, mended.After, true
	}
	c.found(d)
	return nil
}

// drop makes an item cold that can't be compared: the ledger has it all.
func (c *comparison) drop(ctx context.Context, item, cause string) error {
	d := Drift{
		Shard: c.shard, Item: item, Side: InCounter,
		Before: "unreadable", After: "loaded again when it is asked for", Cause: cause,
	}
	if !c.dry {
		mended, err := c.pin.Mend(ctx, counter.DropItem, counter.Pair{Item: item})
		if err != nil || !mended.Done {
			return err
		}
		d.Repaired = true
	}
	c.found(d)
	return nil
}
