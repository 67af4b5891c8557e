package baseline

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"
)

// Pair is a like to come.
type Pair struct{ Item, User string }

// Source hands out batches of likes; each call is of one writer.
type Source func(n int) []Pair

// until calls write with batches of n from each writer's own source, one writer a
// goroutine, until the time is over, and returns how many likes were written.
func until(ctx context.Context, d time.Duration, writers []Source, n int, write func(context.Context, []Pair) error) (total uint64, err error) {
	all := make([]uint64, len(writers))
	end := time.Now().Add(d)
	group, ctx := errgroup.WithContext(ctx)
	for i, next := range writers {
		group.Go(func() error {
			for time.Now().Before(end) {
				if err := write(ctx, next(n)); err != nil {
					return err
				}
				all[i] += uint64(n)
			}
			return nil
		})
	}
	err = group.Wait()
	for _, n := range all {
		total += n
	}
	return total, err
}

// Raw is the limit of Redis: SADD and HINCRBY in pipelines of n likes, neither
// atomic nor logged, a writer for each source.
func Raw(ctx context.Context, rdb *redis.Client, d time.Duration, writers []Source, n int) (uint64, error) {
	return until(ctx, d, writers, n, func(ctx context.Context, likes []Pair) error {
		pipe := rdb.Pipeline()
		for _, l := range likes {
			pipe.SAdd(ctx, LikersPrefix+l.Item, l.User)
			pipe.HIncrBy(ctx, CountsKey, l.Item, 1)
		}
		_, err := pipe.Exec(ctx)
		return err
	})
}

// The tables of Upsert have the columns that plusone's ledger began with; so have
// the indexes, by which a user's likes are listed.
const (
	upsertTables = `
CREATE TABLE raw_likes (
	item_id text COLLATE "C" NOT NULL, user_id text COLLATE "C" NOT NULL, liked boolean NOT NULL,
	prev_liked boolean NOT NULL DEFAULT false, weight integer NOT NULL DEFAULT 1, version bigint NOT NULL, PRIMARY KEY (item_id, user_id));
CREATE TABLE raw_counts (item_id text COLLATE "C" PRIMARY KEY, bucket smallint NOT NULL, count bigint NOT NULL DEFAULT 0)`
	upsertIndexes = `
CREATE INDEX ON raw_likes (user_id, version DESC, item_id DESC) WHERE liked;
CREATE INDEX ON raw_counts (bucket, item_id)`
)

// upsertSQL is the best upsert with counts: arrays, one statement, one commit.
const upsertSQL = `
WITH moved AS (
	INSERT INTO raw_likes AS l (item_id, user_id, liked, version)
	SELECT i, u, true, 1 FROM unnest($1::text[], $2::text[]) AS r (i, u)
	ON CONFLICT (item_id, user_id) DO UPDATE SET prev_liked = l.liked, liked = EXCLUDED.liked, version = EXCLUDED.version
	 WHERE l.version < EXCLUDED.version
	RETURNING item_id, weight * (liked::int - prev_liked::int) AS delta
)
INSERT INTO raw_counts AS c (item_id, bucket, count)
SELECT item_id, 0, sum(delta) FROM moved GROUP BY item_id ORDER BY item_id
ON CONFLICT (item_id) DO UPDATE SET count = c.count + EXCLUDED.count`

// UpsertedSQL returns the likes and the sum of the counts.
const UpsertedSQL = `SELECT (SELECT count(*) FROM raw_likes WHERE liked), (SELECT coalesce(sum(count), 0)::bigint FROM raw_counts)`

// Upsert is the limit of Postgres with counts: batches of n likes, sorted; without
// indexes only what the upsert itself needs. Writers must not share items, or they
// wait for each other's counts.
func Upsert(ctx context.Context, pool *pgxpool.Pool, d time.Duration, writers []Source, n int, indexes bool) (uint64, error) {
	tables := upsertTables
	if indexes {
		tables += ";" + upsertIndexes
	}
	if _, err := pool.Exec(ctx, tables, pgx.QueryExecModeSimpleProtocol); err != nil {
		return 0, err
	}
	return until(ctx, d, writers, n, func(ctx context.Context, likes []Pair) error {
		items, users := columns(likes)
		_, err := pool.Exec(ctx, upsertSQL, items, users)
		return err
	})
}

func columns(likes []Pair) (items, users []string) {
	slices.SortFunc(likes, func(a, b Pair) int {
		if c := strings.Compare(a.Item, b.Item); c != 0 {
			return c
		}
		return strings.Compare(a.User, b.User)
	})
	items, users = make([]string, len(likes)), make([]string, len(likes))
	for i, l := range likes {
		items[i], users[i] = l.Item, l.User
	}
	return items, users
}

// Copy is the limit of Postgres: COPY into a table without index or count.
func Copy(ctx context.Context, pool *pgxpool.Pool, d time.Duration, writers []Source, n int) (uint64, error) {
	if _, err := pool.Exec(ctx, `CREATE TABLE raw_copied (item_id text NOT NULL, user_id text NOT NULL)`); err != nil {
		return 0, err
	}
	return until(ctx, d, writers, n, func(ctx context.Context, likes []Pair) error {
		_, err := pool.CopyFrom(ctx, pgx.Identifier{"raw_copied"}, []string{"item_id", "user_id"},
			pgx.CopyFromSlice(len(likes), func(i int) ([]any, error) { return []any{likes[i].Item, likes[i].User}, nil }))
		return err
	})
}
