package ledger

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// LoadLikers calls yield with the users who like items, each once, at most page
// users of one item at a time, in any order. Items that nobody likes are not
// yielded. It is one query, read as it comes: it stops at the first error of yield
// and returns it as it is. Other errors: like.ErrUnavailable.
func (l *Ledger) LoadLikers(ctx context.Context, items []string, page int,
	yield func(item string, users []string) error,
) error {
	// OFFSET 0 keeps the planner at one index scan per item, whatever it thinks
	// of the number of items.
	rows, err := l.pool.Query(ctx, `
		SELECT i.n - 1, l.user_id
		  FROM unnest($1::text[]) WITH ORDINALITY AS i (item_id, n)
		 CROSS JOIN LATERAL (
			SELECT user_id FROM likes WHERE item_id = i.item_id AND liked OFFSET 0
		 ) AS l`, items)
	if err != nil {
		return failed("load likers", err)
	}
	defer rows.Close()
	p := likersPage{items: items, most: page, yield: yield}
	return p.read(rows)
}

// likersPage gathers likers of one item.
type likersPage struct {
	items []string
	most  int
	yield func(item string, users []string) error

	item  int
	users []string
}

func (p *likersPage) read(rows pgx.Rows) error {
	for rows.Next() {
		var item int
		var user string
		if err := rows.Scan(&item, &user); err != nil {
			return failed("load likers", err)
		}
		if item != p.item || len(p.users) == p.most {
			if err := p.turn(); err != nil {
				return err
			}
			p.item = item
		}
		p.users = append(p.users, user)
	}
	if err := rows.Err(); err != nil {
		return failed("load likers", err)
	}
	return p.turn()
}

// turn yields what was gathered.
func (p *likersPage) turn() error {
	users := p.users
	p.users = nil
	if len(users) == 0 {
		return nil
	}
	return p.yield(p.items[p.item], users)
}
