package baseline

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// taskCheck is how soon an idle worker looks again.
const taskCheck = 20 * time.Millisecond

// The tables of the ways without Redis.
const schema = `
CREATE TABLE IF NOT EXISTS base_likes (
	item_id text COLLATE "C" NOT NULL, user_id text COLLATE "C" NOT NULL, PRIMARY KEY (item_id, user_id));
CREATE TABLE IF NOT EXISTS base_counts (
	item_id text COLLATE "C" PRIMARY KEY, count bigint NOT NULL, version bigint NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS base_points (
	user_id text COLLATE "C" PRIMARY KEY, points bigint NOT NULL)`

// CountedSQL returns the likes and the sum of the counts.
const CountedSQL = `SELECT (SELECT count(*) FROM base_likes), (SELECT coalesce(sum(count), 0)::bigint FROM base_counts)`

func (s *server) makeTables(ctx context.Context) error {
	_, err := s.pool.Exec(ctx, schema, pgx.QueryExecModeSimpleProtocol)
	return err
}

const insertSQL = `
WITH new AS (
	INSERT INTO base_likes (item_id, user_id) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING item_id
)
INSERT INTO base_counts AS c (item_id, count) SELECT item_id, 1 FROM new
ON CONFLICT (item_id) DO UPDATE SET count = c.count + 1
RETURNING count`

// pgInsert is one statement and one commit a like.
func pgInsert(ctx context.Context, _ Options, s *server) error {
	s.like = func(ctx context.Context, item, user string) (count int64, err error) {
		err = s.pool.QueryRow(ctx, insertSQL, item, user).Scan(&count)
		if errors.Is(err, pgx.ErrNoRows) { // liked before
			err = s.pool.QueryRow(ctx, `SELECT count FROM base_counts WHERE item_id = $1`, item).Scan(&count)
		}
		return count, err
	}
	return s.makeTables(ctx)
}

// pgLock locks the item's count, writes, and unlocks it with the commit, as it is
// mostly written.
func pgLock(ctx context.Context, _ Options, s *server) error {
	s.like = func(ctx context.Context, item, user string) (count int64, err error) {
		err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
			err := lock(ctx, tx, item, &count)
			if err != nil {
				return err
			}
			new, err := tx.Exec(ctx, `INSERT INTO base_likes (item_id, user_id) VALUES ($1, $2) ON CONFLICT DO NOTHING`, item, user)
			if err != nil || new.RowsAffected() == 0 {
				return err
			}
			count++
			_, err = tx.Exec(ctx, `UPDATE base_counts SET count = $2 WHERE item_id = $1`, item, count)
			return err
		})
		return count, err
	}
	return s.makeTables(ctx)
}

// lock reads and locks an item's count, which it makes if there is none.
func lock(ctx context.Context, tx pgx.Tx, item string, count *int64) error {
	const sql = `SELECT count FROM base_counts WHERE item_id = $1 FOR UPDATE`
	err := tx.QueryRow(ctx, sql, item).Scan(count)
	if !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	if _, err := tx.Exec(ctx, `INSERT INTO base_counts (item_id, count) VALUES ($1, 0) ON CONFLICT DO NOTHING`, item); err != nil {
		return err
	}
	return tx.QueryRow(ctx, sql, item).Scan(count)
}

const (
	lookSQL = `
SELECT c.count, c.version, EXISTS (SELECT FROM base_likes WHERE item_id = $1 AND user_id = $2)
  FROM base_counts c WHERE c.item_id = $1`
	casSQL = `
WITH moved AS (
	UPDATE base_counts SET count = $3 + 1, version = version + 1 WHERE item_id = $1 AND version = $4 RETURNING item_id
)
INSERT INTO base_likes (item_id, user_id) SELECT item_id, $2 FROM moved`
)

// pgOptimistic reads, and writes if nobody has written since; else it begins anew.
func pgOptimistic(ctx context.Context, _ Options, s *server) error {
	s.like = func(ctx context.Context, item, user string) (count int64, err error) {
		for ctx.Err() == nil {
			var version int64
			var liked bool
			err := s.pool.QueryRow(ctx, lookSQL, item, user).Scan(&count, &version, &liked)
			if errors.Is(err, pgx.ErrNoRows) {
				_, err = s.pool.Exec(ctx, `INSERT INTO base_counts (item_id, count) VALUES ($1, 0) ON CONFLICT DO NOTHING`, item)
				if err == nil {
					continue
				}
			}
			if err != nil || liked {
				return count, err
			}
			set, err := s.pool.Exec(ctx, casSQL, item, user, count, version)
			const uniqueViolation = "23505"
			if pe := new(pgconn.PgError); errors.As(err, &pe) && pe.Code == uniqueViolation {
				continue
			}
			if err != nil || set.RowsAffected() == 1 {
				return count + 1, err
			}
		}
		return 0, ctx.Err()
	}
	return s.makeTables(ctx)
}
