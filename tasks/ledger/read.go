package ledger

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"plusone/hotpath/like"
)

// Counts returns the likes of each item, in the order of items, 0 for what
// nobody has liked yet, and whether users[i] likes items[i]; "" asks for nobody,
// and so does a users that is empty. Errors: like.ErrUnavailable.
func (l *Ledger) Counts(ctx context.Context, items, users []string) ([]like.Reading, error) {
	if len(users) > 0 && len(users) != len(items) {
		return nil, fmt.Errorf("ledger: read counts: %d items for %d users", len(items), len(users))
	}
	rows, err := l.pool.Query(ctx, `
		SELECT i.item_id, coalesce(c.count, 0), coalesce(l.liked, false), now()
		  FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS i (item_id, user_id, n)
		  LEFT JOIN item_counts c ON c.item_id = i.item_id
		  LEFT JOIN likes l ON l.item_id = i.item_id AND l.user_id = i.user_id
		 ORDER BY i.n`, items, users)
	if err != nil {
		return nil, failed("read counts", err)
	}
	readings, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (like.Reading, error) {
		r := like.Reading{Source: like.FromLedger}
		return r, row.Scan(&r.Item, &r.Count, &r.Liked, &r.AsOf)
	})
	return readings, failed("read counts", err)
}

// Likers lists up to limit users who like item, ascending by their bytes and
// above after, with the time of their last change. Errors: like.ErrUnavailable.
func (l *Ledger) Likers(ctx context.Context, item, after string, limit int) ([]like.Liker, error) {
	rows, err := l.pool.Query(ctx, `
		SELECT user_id, version FROM likes
		 WHERE item_id = $1 AND liked AND user_id > $2
		 ORDER BY user_id LIMIT $3`, item, after, limit)
	if err != nil {
		return nil, failed("list likers", err)
	}
	likers, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (r like.Liker, err error) {
		var version like.Version
		err = row.Scan(&r.User, &version)
		r.At = version.Time()
		return r, err
	})
	return likers, failed("list likers", err)
}

// LikedBy lists up to limit items that user likes, newest first, those after the
// given place; the zero place is before the first. Each page reads and sorts all rows
// of the user. Errors: like.ErrUnavailable.
func (l *Ledger) LikedBy(ctx context.Context, user string, after like.LikedItem, limit int) ([]like.LikedItem, error) {
	if after == (like.LikedItem{}) {
		after.Version = math.MaxInt64
	}
	rows, err := l.pool.Query(ctx, `
		SELECT item_id, version FROM likes
		 WHERE user_id = $1 AND liked AND (version, item_id) < ($2, $3)
		 ORDER BY version DESC, item_id DESC LIMIT $4`, user, after.Version, after.Item, limit)
	if err != nil {
		return nil, failed("list liked items", err)
	}
	items, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (r like.LikedItem, err error) {
		return r, row.Scan(&r.Item, &r.Version)
	})
	return items, failed("list liked items", err)
}

// clockSkew is how far Redis' clock may be ahead of this one.
const clockSkew = 5 * time.Minute

// ReceiptState tells how far the change is that user got the receipt for, or a server
// for a vote, user being "" then. When
// one receipt covers several changes of the user, a refused one decides, then the
// one that is behind.
//
// Errors: like.ErrNotFound when no such receipt can have been given,
// like.ErrUnavailable.
func (l *Ledger) ReceiptState(ctx context.Context, r like.Receipt, user string) (like.Progress, error) {
	var watermark, floor like.Version
	var undone *bool // NULL: no dead letter
	var saga sagaProgress
	err := l.pool.QueryRow(ctx, `
		SELECT w.version, w.floor, (SELECT bool_and(d.undone) FROM dead_letters d
		                    WHERE d.shard = $1 AND d.version = $2 AND (d.user_id = $3 OR $3 = '' AND d.user_id ^@ '%')),
		       s.state, s.rejected_by, s.reason, s.told
		  FROM watermarks w
		  LEFT JOIN LATERAL (`+sagaProgressSQL+`) s ON true
		 WHERE w.shard = $1`, r.Shard, r.Version, user, "sag_"+r.String()).Scan(
		&watermark, &floor, &undone, &saga.state, &saga.by, &saga.reason, &saga.told)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return like.Progress{}, failed("read a receipt", like.ErrNotFound)
	case err != nil:
		return like.Progress{}, failed("read a receipt", err)
	case undone != nil && *undone:
		return like.Progress{State: like.Compensated}, nil
	case undone != nil:
		return like.Progress{State: like.Rejected}, nil
	case saga.state != nil:
		return saga.progress(), nil
	case r.Version <= watermark, r.Version.Direct() && r.Version <= floor:
		return like.Progress{State: like.Persisted}, nil
	case r.Version.Time().After(time.Now().Add(clockSkew)):
		return like.Progress{}, failed("read a receipt", like.ErrNotFound)
	default:
		return like.Progress{State: like.Accepted}, nil
	}
}
