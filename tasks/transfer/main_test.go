package transfer_test

import (
	"bufio"
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"plusone/hotpath/counter"
	"plusone/hotpath/like"
	"plusone/reconcile"
	"plusone/scripts/dev/private/privatetest"
	"plusone/tasks"
	"plusone/tasks/ledger"
	"plusone/tasks/transfer"
)

func TestMain(m *testing.M) { privatetest.Main(m, privatetest.NoLeaks) }

const shards = 4

// works is the way of a like on servers of its own. Items with more than 8 likers are
// loaded partly.
type works struct {
	*counter.Counter
	tb       testing.TB
	rdb      *redis.Client
	log      *counter.Log
	pool     *pgxpool.Pool
	ledger   *ledger.Ledger
	drainer  *tasks.Drainer
	checker  *reconcile.Reconciler
	importer *transfer.Importer
	mu       sync.Mutex // one drain at a time waits for no other
}

func newWorks(tb testing.TB) *works {
	tb.Helper()
	opt, err := redis.ParseURL(privatetest.Redis(tb).URL())
	check(tb, err)
	w := &works{tb: tb, rdb: redis.NewClient(opt)}
	tb.Cleanup(func() { _ = w.rdb.Close() })
	w.log = counter.NewLog(w.rdb, shards)
	w.pool, err = pgxpool.New(tb.Context(), privatetest.Postgres(tb)+"&pool_max_conns=16")
	check(tb, err)
	tb.Cleanup(w.pool.Close)
	check(tb, ledger.Migrate(tb.Context(), w.pool))
	w.ledger = ledger.New(w.pool)
	_, err = w.ledger.Layout(tb.Context(), shards)
	check(tb, err)
	w.drainer = tasks.NewDrainer(w.log, w.ledger, time.Hour, prometheus.NewRegistry())
	w.checker = reconcile.New(w.log, w.ledger, reconcile.Options{
		Rate: 1 << 30, Settle: patience, Ring: func(shard int) { go w.ring(shard) },
	})
	w.importer = &transfer.Importer{Ledger: w.ledger, Log: w.log, Patience: patience}
	w.Counter, err = counter.New(redis.UniversalOptions{Addrs: []string{opt.Addr}}, w.ledger, counter.Options{
		Shards: shards, ResidentSetMax: 8, Timeout: patience,
	})
	check(tb, err)
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		check(tb, w.Close(ctx))
	})
	return w
}

// patience is what a busy machine may need for what should take no time at all.
const patience = 20 * time.Second

func (w *works) ring(shard int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	_ = w.drainer.Drain(w.tb.Context(), shard) // it is rung for again
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
func (w *works) want(item string, want like.Want, users ...string) (results []like.Result) {
	w.tb.Helper()
	ops := make([]like.Op, len(users))
	for i, u := range users {
		ops[i] = like.Op{Item: item, User: u, Want: want}
	}
	results = make([]like.Result, len(ops))
	check(w.tb, w.Apply(w.tb.Context(), ops, results))
	for _, r := range results {
		check(w.tb, r.Err)
	}
	return results
}

// bring imports lines of CSV, without times: item,user,liked.
func (w *works) bring(lines ...string) (ledger.ImportRun, []*transfer.Reject) {
	w.tb.Helper()
	return w.bringFile("item,user,liked\n"+strings.Join(lines, "\n"), transfer.CSV)
}

func (w *works) bringFile(text, format string) (run ledger.ImportRun, rejects []*transfer.Reject) {
	w.tb.Helper()
	src, err := transfer.OpenFile(bufio.NewReader(strings.NewReader(text)), format, transfer.Mapping{})
	check(w.tb, err)
	run, err = w.importer.Run(w.tb.Context(), src, ledger.ImportRun{},
		func(r []*transfer.Reject) (int64, error) { rejects = append(rejects, r...); return 0, nil },
		func(ledger.ImportRun) error { return nil })
	check(w.tb, err)
	return run, rejects
}

// likes is what the ledger has, as "item user", once both sides agree: the counts of
// both with the rows, without a repair.
func (w *works) likes() map[string]bool {
	w.tb.Helper()
	w.drain()
	rows, err := w.pool.Query(w.tb.Context(), `SELECT item_id, user_id FROM likes WHERE liked`)
	check(w.tb, err)
	all, counts := map[string]bool{}, map[string]int64{}
	var item, user string
	_, err = pgx.ForEachRow(rows, []any{&item, &user}, func() error {
		all[item+" "+user] = true
		counts[item]++
		return nil
	})
	check(w.tb, err)
	for item, n := range counts {
		inLedger, err := w.ledger.Counts(w.tb.Context(), []string{item}, nil)
		check(w.tb, err)
		got, err := w.Read(w.tb.Context(), []string{item}, "")
		check(w.tb, err)
		if inLedger[0].Count != n || got[0].Count != n {
			w.tb.Errorf("%s: redis counts %d, the ledger %d, its rows are %d", item, got[0].Count, inLedger[0].Count, n)
		}
	}
	report, err := w.checker.Once(w.tb.Context(), false)
	check(w.tb, err)
	for _, d := range report.Drifts {
		w.tb.Errorf("drift: %+v", d)
	}
	return all
}

func check(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
