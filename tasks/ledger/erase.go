package ledger

import (
	"context"

	"github.com/jackc/pgx/v5"

	"plusone/hotpath/like"
)

// UserRows is what the ledger holds of a user.
type UserRows struct {
	Liked       []string // items that he likes
	Removed     []string // items that he has liked: tombstones
	DeadLetters int64
	Repairs     int64
	Sagas       int64
	OpenSagas   int64 // of them, those that have not ended
	Revoked     int64 // rows of revocations
}

// Len is the number of rows.
func (u UserRows) Len() int64 {
	return int64(len(u.Liked)+len(u.Removed)) + u.DeadLetters + u.Repairs + u.Sagas + u.Revoked
}

// UserRows looks for a user in every table that names users. Only likes has an index
// for it; the others are read wholly, however long it takes. Errors: like.ErrElsewhere
// while likes are written straight to the ledger, like.ErrUnavailable.
func (l *Ledger) UserRows(ctx context.Context, user string) (u UserRows, err error) {
	err = l.inTx(ctx, "look for a user", func(tx pgx.Tx) error {
		var direct bool
		if _, err := tx.Exec(ctx, `SET LOCAL statement_timeout = 0`); err != nil {
			return err
		}
		err := tx.QueryRow(ctx, `SELECT writes_to <> 'redis' FROM modes`).Scan(&direct)
		switch {
		case err != nil:
			return err
		case direct:
			return like.ErrElsewhere
		}
		return tx.QueryRow(ctx, `
			SELECT coalesce(array_agg(item_id) FILTER (WHERE liked), '{}'),
			       coalesce(array_agg(item_id) FILTER (WHERE NOT liked), '{}'),
			       (SELECT count(*) FROM dead_letters WHERE user_id = $1),
			       (SELECT count(*) FROM repairs WHERE user_id = $1),
			       (SELECT count(*) FROM sagas WHERE user_id = $1),
			       (SELECT count(*) FROM sagas WHERE user_id = $1 AND ended_at IS NULL),
			       (SELECT count(*) FROM revoked_users WHERE user_id = $1) + (SELECT count(*) FROM revoked_likes WHERE user_id = $1)
			  FROM likes WHERE user_id = $1`, user).Scan(
			&u.Liked, &u.Removed, &u.DeadLetters, &u.Repairs, &u.Sagas, &u.OpenSagas, &u.Revoked)
	})
	return u, err
}

// Erased is how many rows EraseUser has deleted.
type Erased struct{ Tombstones, DeadLetters, Repairs, Sagas, Revoked int64 }

// EraseUser deletes the tombstones of a user on items, whose shards go with them,
// and what dead letters, repairs, revocations and sagas that have ended say of him. A tombstone above its shard's
// watermark stays: an older change of the pair may be on its way. So does a row
// that says liked, which counts.
func (l *Ledger) EraseUser(ctx context.Context, user string, items []string, shards []int) (e Erased, err error) {
	err = l.inTx(ctx, "erase a user", func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SET LOCAL statement_timeout = 0`); err != nil {
			return err
		}
		gone, err := tx.Exec(ctx, `
			DELETE FROM likes l
			 USING unnest($2::text[], $3::integer[]) AS q (item_id, shard)
			  JOIN watermarks w ON w.shard = q.shard
			 WHERE l.item_id = q.item_id AND l.user_id = $1 AND NOT l.liked AND l.version <= w.version`, user, items, shards)
		if err != nil {
			return err
		}
		e.Tombstones = gone.RowsAffected()
		if gone, err = tx.Exec(ctx, `DELETE FROM dead_letters WHERE user_id = $1`, user); err != nil {
			return err
		}
		e.DeadLetters = gone.RowsAffected()
		gone, err = tx.Exec(ctx, `DELETE FROM repairs WHERE user_id = $1`, user)
		if err != nil {
			return err
		}
		e.Repairs = gone.RowsAffected()
		gone, err = tx.Exec(ctx, `
			DELETE FROM sagas s WHERE s.user_id = $1 AND NOT EXISTS (
				SELECT FROM sagas o WHERE o.item_id = s.item_id AND o.user_id = $1 AND o.ended_at IS NULL)`, user)
		if err != nil {
			return err
		}
		e.Sagas = gone.RowsAffected()
		for _, table := range []string{"revoked_users", "revoked_likes"} {
			if gone, err = tx.Exec(ctx, `DELETE FROM `+table+` WHERE user_id = $1`, user); err != nil {
				return err
			}
			e.Revoked += gone.RowsAffected()
		}
		return nil
	})
	return e, err
}
