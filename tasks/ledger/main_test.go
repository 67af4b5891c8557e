package ledger_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"plusone/hotpath/like"
	"plusone/scripts/dev/private/privatetest"
	"plusone/tasks/ledger"
)

func TestMain(m *testing.M) { privatetest.Main(m, privatetest.NoLeaks) }

// store is a migrated ledger of 4 shards and its pool.
type store struct {
	*ledger.Ledger
	pool *pgxpool.Pool
	tb   testing.TB
}

func emptyPool(tb testing.TB) *pgxpool.Pool {
	tb.Helper()
	pool, err := pgxpool.New(tb.Context(), privatetest.Postgres(tb))
	must(tb, err)
	tb.Cleanup(pool.Close)
	return pool
}

func newStore(tb testing.TB) store {
	tb.Helper()
	pool := emptyPool(tb)
	must(tb, ledger.Migrate(tb.Context(), pool))
	s := store{ledger.New(pool), pool, tb}
	_, err := s.Layout(tb.Context(), 4)
	must(tb, err)
	return s
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func (s store) exec(sql string, args ...any) {
	s.tb.Helper()
	_, err := s.pool.Exec(s.tb.Context(), sql, args...)
	must(s.tb, err)
}

// number runs a query that returns one number.
func (s store) number(sql string, args ...any) (n int64) {
	s.tb.Helper()
	must(s.tb, s.pool.QueryRow(s.tb.Context(), sql, args...).Scan(&n))
	return n
}

// in runs do in a committed batch of shard 0.
func (s store) in(do func(context.Context, *ledger.Batch)) {
	s.tb.Helper()
	b, err := s.Begin(s.tb.Context(), 0)
	must(s.tb, err)
	defer b.Rollback(s.tb.Context())
	do(s.tb.Context(), b)
	must(s.tb, b.Commit(s.tb.Context()))
}

// apply sorts rows and writes them in a batch of their own.
func (s store) apply(rows ...ledger.Row) (a ledger.Applied) {
	s.tb.Helper()
	slices.SortFunc(rows, ledger.Row.Compare)
	s.in(func(ctx context.Context, b *ledger.Batch) {
		var err error
		a, err = b.Apply(ctx, rows)
		must(s.tb, err)
	})
	return a
}

func row(item, user string, liked bool, v like.Version) ledger.Row {
	return ledger.Row{Item: item, User: user, Liked: liked, Version: v}
}

// sound fails unless each item's count is the number of its liked rows.
func (s store) sound() {
	s.tb.Helper()
	rows, err := s.pool.Query(s.tb.Context(), `
		SELECT item_id, coalesce(c.count, 0), coalesce(l.count, 0) FROM item_counts c
		  FULL JOIN (SELECT item_id, sum(weight) FILTER (WHERE liked) AS count FROM likes GROUP BY 1) l
		 USING (item_id) WHERE coalesce(c.count, 0) <> coalesce(l.count, 0)`)
	must(s.tb, err)
	wrong, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (string, error) {
		var item string
		var count, liked int64
		err := r.Scan(&item, &count, &liked)
		return fmt.Sprintf("%s: count %d, liked rows %d", item, count, liked), err
	})
	must(s.tb, err)
	if len(wrong) > 0 {
		s.tb.Fatalf("%d counts are wrong: %s", len(wrong), wrong[0])
	}
}
