package ledger

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// LoadLikers calls yield with the users who like items, all users of items[i]
// before those of items[i+1], at most page users at a time, ascending by their
// bytes. Items that nobody likes are not yielded. It stops at the first error
// of yield and returns it as it is. Other errors: like.ErrUnavailable.
//
// It asks for as many items at once as together have about page likers, so that
// many small items cost one query, and a large one a query per page.
func (l *Ledger) LoadLikers(ctx context.Context, items []string, page int,
	yield func(item string, users []string) error,
) error {
	counts, err := l.Counts(ctx, items, nil)
	if err != nil {
		return err
	}
	after := "" // the last user of items[0] that was yielded
	for len(items) > 0 {
		n, sum := 1, counts[0].Count
		for n < len(items) && sum+counts[n].Count <= int64(page) {
			sum += counts[n].Count
			n++
		}
		likers, err := l.likersOf(ctx, items[:n], after, page)
		if err != nil {
			return failed("load likers", err)
		}
		if err := yieldGroups(items, likers, yield); err != nil {
			return err
		}
		if len(likers) == page { // the last item of the page may have more
			last := likers[page-1]
			n, after = last.item, last.user
		} else {
			after = ""
		}
		items, counts = items[n:], counts[n:]
	}
	return nil
}

// liker is a user who likes items[item].
type liker struct {
	item int
	user string
}

// likersOf reads the first page likers of items in order, of items[0] those
// above after.
func (l *Ledger) likersOf(ctx context.Context, items []string, after string, page int) ([]liker, error) {
	rows, err := l.pool.Query(ctx, `
		SELECT i.n - 1, l.user_id
		  FROM unnest($1::text[]) WITH ORDINALITY AS i (item_id, n)
		 CROSS JOIN LATERAL (
			SELECT user_id FROM likes
			 WHERE item_id = i.item_id AND liked
			   AND user_id > CASE WHEN i.n = 1 THEN $2::text ELSE '' END
			 ORDER BY user_id LIMIT $3
		 ) AS l
		 ORDER BY i.n, l.user_id LIMIT $3`, items, after, page)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (r liker, err error) {
		return r, row.Scan(&r.item, &r.user)
	})
}

// yieldGroups yields runs of likers with the same item.
func yieldGroups(items []string, likers []liker, yield func(string, []string) error) error {
	for len(likers) > 0 {
		item, users := likers[0].item, make([]string, 0, len(likers))
		for len(likers) > 0 && likers[0].item == item {
			users = append(users, likers[0].user)
			likers = likers[1:]
		}
		if err := yield(items[item], users); err != nil {
			return err
		}
	}
	return nil
}
