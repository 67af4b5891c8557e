package reconcile

import (
	"context"

	"plusone/hotpath/counter"
	"plusone/hotpath/like"
	"plusone/tasks/ledger"
)

// large compares an item page by page: first what its set has, then what the
// ledger has. Pages may repeat users and miss what changes meanwhile; the log
// after the pin names all that changes.
func (c *comparison) large(ctx context.Context, item counter.Item) error {
	l := &largeItem{comparison: c, id: item.ID}
	for _, page := range []func(context.Context) (bool, error){l.setPage, l.ledgerPage} {
		for more := true; more; {
			before := c.spent
			err := c.step(ctx, func(ctx context.Context) (err error) {
				more, err = page(ctx)
				return err
			})
			if err == nil {
				err = c.breathe(ctx, c.spent-before)
			}
			if err != nil {
				return err
			}
		}
	}
	return within(ctx, func(ctx context.Context) error { return c.count(ctx, item, l.moved) })
}

// largeItem is how far the comparison of a large item has got.
type largeItem struct {
	*comparison
	id     string
	cursor uint64 // in the set
	after  string // in the ledger
	moved  int64  // what repairs did to the cardinality
}

// setPage looks the next members of the set up in the ledger.
func (l *largeItem) setPage(ctx context.Context) (more bool, err error) {
	users, next, err := l.pin.Users(ctx, l.id, l.cursor)
	if err != nil {
		return false, err
	}
	var pairs []counter.Pair
	var stray []suspect
	for _, u := range users {
		pair := counter.Pair{Item: l.id, User: u}
		if like.CheckUser(u) != nil {
			stray = append(stray, suspect{pair, counter.RemoveUser, CauseBadID})
			continue
		}
		pairs = append(pairs, pair)
	}
	suspects, err := l.extra(ctx, pairs)
	if err != nil {
		return false, err
	}
	suspects = append(suspects, stray...)
	l.cursor = next
	return next != 0, l.endPage(ctx, suspects, len(users))
}

// ledgerPage looks the next likers of the ledger up in the set.
func (l *largeItem) ledgerPage(ctx context.Context) (more bool, err error) {
	rows, err := l.ledger.LikedPage(ctx, l.id, l.after, pageUsers)
	if err != nil || len(rows) == 0 {
		return false, err
	}
	users := make([]string, len(rows))
	for i, row := range rows {
		users[i] = row.User
	}
	has, err := l.pin.Has(ctx, l.id, users)
	if err != nil {
		return false, err
	}
	lost := map[counter.Pair]ledger.LikedRow{}
	for i, row := range rows {
		if !has[i] {
			lost[counter.Pair{Item: l.id, User: row.User}] = row
		}
	}
	l.after = users[len(users)-1]
	return true, l.endPage(ctx, l.missing(lost), len(rows))
}

// endPage makes a page's repairs and keeps the pin alive.
func (l *largeItem) endPage(ctx context.Context, suspects []suspect, pairs int) error {
	moved, err := l.mend(ctx, suspects)
	l.moved += moved[l.id]
	l.looked(0, pairs)
	if err == nil {
		err = l.pin.Keep(ctx)
	}
	return err
}
