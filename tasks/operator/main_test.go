package operator_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"plusone/hotpath/counter"
	"plusone/hotpath/like"
	"plusone/scripts/dev/private/privatetest"
	"plusone/tasks"
	"plusone/tasks/ledger"
	"plusone/tasks/operator"
)

func TestMain(m *testing.M) { privatetest.Main(m, privatetest.NoLeaks) }

const shards = 4

var by = ledger.By{Who: "op", Reason: "fraud"}

// works is the way of a like on servers of its own.
type works struct {
	*counter.Counter
	tb      testing.TB
	rdb     *redis.Client
	log     *counter.Log
	pool    *pgxpool.Pool
	ledger  *ledger.Ledger
	drainer *tasks.Drainer
	mu      sync.Mutex // one drain at a time waits for no other
}

func newWorks(tb testing.TB) *works {
	tb.Helper()
	opt, err := redis.ParseURL(privatetest.Redis(tb).URL())
	check(tb, err)
	w := &works{tb: tb, rdb: redis.NewClient(opt)}
	tb.Cleanup(func() { _ = w.rdb.Close() })
	w.log = counter.NewLog(w.rdb, shards)
	w.pool, err = pgxpool.New(tb.Context(), privatetest.Postgres(tb))
	check(tb, err)
	tb.Cleanup(w.pool.Close)
	check(tb, ledger.Migrate(tb.Context(), w.pool))
	w.ledger = ledger.New(w.pool)
	_, err = w.ledger.Layout(tb.Context(), shards)
	check(tb, err)
	w.drainer = tasks.NewDrainer(w.log, w.ledger, 0, prometheus.NewRegistry())
	w.Counter, err = counter.New(redis.UniversalOptions{Addrs: []string{opt.Addr}}, w.ledger, counter.Options{Shards: shards, ResidentSetMax: 8})
	check(tb, err)
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		check(tb, w.Close(ctx))
	})
	return w
}

// operator is one that works over w, whose drains are made when it rings.
func (w *works) operator(rate int) *operator.Operator {
	return operator.New(w.ledger, w.log, w, w.ring, operator.Config{Rate: rate, Keep: time.Hour})
}

func (w *works) ring(which ...int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range which {
		_ = w.drainer.Drain(w.tb.Context(), s) // it is rung for again
	}
}

func (w *works) drain() {
	w.tb.Helper()
	for s := range shards {
		for {
			tail, err := w.log.Tail(w.tb.Context(), s)
			check(w.tb, err)
			marks, err := w.ledger.Watermarks(w.tb.Context())
			check(w.tb, err)
			if tail.Last <= marks[s] {
				break
			}
			w.ring(s)
		}
	}
}

// want applies one state for many users of an item.
func (w *works) want(item string, want like.Want, users ...string) {
	w.tb.Helper()
	ops, results := make([]like.Op, len(users)), make([]like.Result, len(users))
	for i, u := range users {
		ops[i] = like.Op{Item: item, User: u, Want: want}
	}
	check(w.tb, w.Apply(w.tb.Context(), ops, results))
	for _, r := range results {
		check(w.tb, r.Err)
	}
}

// likes is what the ledger has, as "user item", and whether both sides agree.
func (w *works) likes() map[string]bool {
	w.tb.Helper()
	w.drain()
	rows, err := w.pool.Query(w.tb.Context(), `
		SELECT user_id, item_id, (SELECT count FROM item_counts c WHERE c.item_id = l.item_id) FROM likes l WHERE liked`)
	check(w.tb, err)
	defer rows.Close()
	all, counts, of := map[string]bool{}, map[string]int64{}, map[string]int64{}
	for rows.Next() {
		var user, item string
		var count int64
		check(w.tb, rows.Scan(&user, &item, &count))
		all[user+" "+item] = true
		counts[item]++
		of[item] = count
	}
	check(w.tb, rows.Err())
	for item, n := range counts {
		got, err := w.Read(w.tb.Context(), []string{item}, "")
		check(w.tb, err)
		if of[item] != n || got[0].Count != n {
			w.tb.Errorf("%s: redis counts %d, the ledger %d, its rows are %d", item, got[0].Count, of[item], n)
		}
	}
	return all
}

// turns lets an operator work until a revocation has ended.
func (w *works) turns(o *operator.Operator, id string) ledger.Revocation {
	w.tb.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		check(w.tb, o.Turn(w.tb.Context()))
		r, err := w.ledger.Revocation(w.tb.Context(), id)
		check(w.tb, err)
		if r.EndedAt != nil {
			return r
		}
		if time.Now().After(deadline) {
			w.tb.Fatalf("it does not end: %+v", r)
		}
	}
}

func (w *works) exec(sql string, args ...any) {
	w.tb.Helper()
	_, err := w.pool.Exec(w.tb.Context(), sql, args...)
	check(w.tb, err)
}

func names(prefix string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("%s%02d", prefix, i)
	}
	return all
}

func check(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
