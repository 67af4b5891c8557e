package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"plusone/hotpath/like"
)

// The states of a revocation; package tasks/operator draws how they follow each other.
const (
	RevocationRunning = "running"
	RevocationDone    = "done"
	RevocationUndoing = "undoing"
	RevocationUndone  = "undone"
)

// What operators do to revocations.
const (
	ActRevoke = "revoke"
	ActUndo   = "undo"
)

// Revocation is a list of users whose likes are taken back.
type Revocation struct {
	ID        string     `json:"revocation"`
	MadeAt    time.Time  `json:"made_at"`
	Who       string     `json:"who"`
	Reason    string     `json:"reason"`
	Items     []string   `json:"items"` // only likes of these; none: of all
	Users     int64      `json:"users"`
	Expected  int64      `json:"expected"` // likes that the ledger had of them when it was made
	State     string     `json:"state"`
	Round     int        `json:"round"`
	Found     int64      `json:"found"` // likes that this round has found
	Taken     int64      `json:"taken"`
	Returned  int64      `json:"returned"` // by an undo
	Kept      int64      `json:"kept"`     // left as they are by an undo: something newer has happened
	EndedAt   *time.Time `json:"ended_at,omitempty"`
	LastError string     `json:"last_error,omitempty"`
	After     RevokedAt  `json:"-"`
	Acts      []Act      `json:"acts,omitempty" db:"-"`
}

// RevokedAt is a place in a revocation's order: by user, then item.
type RevokedAt struct{ User, Item string }

const revocationColumns = `id, made_at, who, reason, items, users, expected, state, round, found, taken, returned, kept, ended_at,
	coalesce(last_error, ''), after_user, after_item`

// RevocationLook is what a revocation would take back, as the ledger has it: what
// waits in the logs is not counted.
type RevocationLook struct {
	Users int64        `json:"users"` // of the list, that like anything
	Likes int64        `json:"likes"`
	Items int64        `json:"items"`
	Top   []ItemOfLook `json:"top_items"`
}

// ItemOfLook is an item with its likes by the users of a list.
type ItemOfLook struct {
	Item  string `json:"item"`
	Likes int64  `json:"likes"`
	Of    int64  `json:"of"` // all that it has
}

// topItems is how many items a look names.
const topItems = 10

// LookAtRevocation counts what there is of users, of some items alone unless items is
// empty. It changes nothing.
func (l *Ledger) LookAtRevocation(ctx context.Context, users, items []string) (look RevocationLook, err error) {
	if items == nil {
		items = []string{}
	}
	err = l.inTx(ctx, "look at likes of users", func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SET LOCAL statement_timeout = 0`); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `
			WITH mine AS MATERIALIZED (
				SELECT l.item_id, l.user_id
				  FROM (SELECT DISTINCT unnest($1::text[]) COLLATE "C" AS user_id) u
				 CROSS JOIN LATERAL (SELECT item_id, user_id FROM likes WHERE user_id = u.user_id AND liked OFFSET 0) l
				 WHERE cardinality($2::text[]) = 0 OR l.item_id = ANY ($2)
			), by_item AS (SELECT item_id, count(*) AS n FROM mine GROUP BY 1)
			SELECT (SELECT count(DISTINCT user_id) FROM mine), (SELECT count(*) FROM mine), (SELECT count(*) FROM by_item),
			       t.item_id, t.n, coalesce(c.count, 0)
			  FROM (SELECT) AS always
			  LEFT JOIN (SELECT * FROM by_item ORDER BY n DESC, item_id LIMIT $3) t ON true
			  LEFT JOIN item_counts c ON c.item_id = t.item_id
			 ORDER BY t.n DESC, t.item_id`, users, items, topItems)
		if err != nil {
			return err
		}
		var item *string
		var n, of *int64
		_, err = pgx.ForEachRow(rows, []any{&look.Users, &look.Likes, &look.Items, &item, &n, &of}, func() error {
			if item != nil {
				look.Top = append(look.Top, ItemOfLook{Item: *item, Likes: *n, Of: *of})
			}
			return nil
		})
		return err
	})
	return look, err
}

// Revoke begins to take back the likes of users; workers do it. Errors:
// like.ErrUnavailable.
func (l *Ledger) Revoke(ctx context.Context, users, items []string, by By) (id string, err error) {
	users = slices.Compact(slices.Sorted(slices.Values(users)))
	look, err := l.LookAtRevocation(ctx, users, items)
	if err != nil {
		return "", err
	}
	if items == nil {
		items = []string{}
	}
	who, why := by.args()
	err = l.inTx(ctx, "begin a revocation", func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SET LOCAL statement_timeout = 0`); err != nil {
			return err
		}
		err := tx.QueryRow(ctx, `
			INSERT INTO revocations (id, who, reason, items, users, expected)
			VALUES ('rev_' || (extract(epoch FROM clock_timestamp()) * 1000)::bigint || '-' || left(replace(gen_random_uuid()::text, '-', ''), 12), $1, $2, $3, $4, $5)
			RETURNING id`, who, why, items, len(users), look.Likes).Scan(&id)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO revoked_users (revocation_id, user_id) SELECT $1, unnest($2::text[])`, id, users)
		if err != nil {
			return err
		}
		return noteActs(ctx, tx, onRevocation, ActRevoke, by, []string{id}, []string{"none"})
	})
	return id, err
}

// UndoRevocation has the likes given back that a revocation has taken, and that
// nothing newer has happened to; one that still runs takes no more. Errors:
// like.ErrNotFound, ErrActRefused.
func (l *Ledger) UndoRevocation(ctx context.Context, id string, by By) error {
	return l.inTx(ctx, "undo a revocation", func(tx pgx.Tx) error {
		var state string
		err := tx.QueryRow(ctx, `SELECT state FROM revocations WHERE id = $1 FOR UPDATE`, id).Scan(&state)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return like.ErrNotFound
		case err != nil:
			return err
		case state != RevocationRunning && state != RevocationDone:
			return fmt.Errorf("undo a revocation: %w", ErrActRefused)
		}
		_, err = tx.Exec(ctx, `
			UPDATE revocations
			   SET state = 'undoing', round = 1, found = 0, after_user = '', after_item = '', ended_at = NULL, last_error = NULL,
			       claimed_by = '', claimed_until = now()
			 WHERE id = $1`, id)
		if err != nil {
			return err
		}
		return noteActs(ctx, tx, onRevocation, ActUndo, by, []string{id}, []string{state})
	})
}

// Revocations lists revocations, the newest first, those before the id before, ""
// for all.
func (l *Ledger) Revocations(ctx context.Context, before string, limit int) ([]Revocation, error) {
	var c conditions
	c.and("id < ?", before)
	rows, err := l.pool.Query(ctx, `SELECT `+revocationColumns+` FROM revocations`+c.where()+` ORDER BY id DESC`+c.limit(limit), c.args...)
	if err != nil {
		return nil, failed("list revocations", err)
	}
	found, err := pgx.CollectRows(rows, scanRevocation)
	return found, failed("list revocations", err)
}

// Revocation tells of one, and what operators did to it. Errors: like.ErrNotFound.
func (l *Ledger) Revocation(ctx context.Context, id string) (r Revocation, err error) {
	rows, err := l.pool.Query(ctx, `SELECT `+revocationColumns+` FROM revocations WHERE id = $1`, id)
	if err != nil {
		return r, failed("read a revocation", err)
	}
	r, err = pgx.CollectExactlyOneRow(rows, scanRevocation)
	if errors.Is(err, pgx.ErrNoRows) {
		err = like.ErrNotFound
	}
	if err != nil {
		return r, failed("read a revocation", err)
	}
	r.Acts, err = l.acts(ctx, onRevocation, id)
	return r, err
}

func scanRevocation(row pgx.CollectableRow) (r Revocation, err error) {
	return r, row.Scan(&r.ID, &r.MadeAt, &r.Who, &r.Reason, &r.Items, &r.Users, &r.Expected, &r.State, &r.Round, &r.Found,
		&r.Taken, &r.Returned, &r.Kept, &r.EndedAt, &r.LastError, &r.After.User, &r.After.Item)
}
