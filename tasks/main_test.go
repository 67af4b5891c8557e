package tasks_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"plusone/hotpath/counter"
	"plusone/hotpath/like"
	"plusone/scripts/dev/private/privatetest"
	"plusone/tasks"
	"plusone/tasks/ledger"
)

func TestMain(m *testing.M) { privatetest.Main(m, privatetest.NoLeaks) }

// The ledger is what the counter hydrates from.
var _ counter.Source = (*ledger.Ledger)(nil)

// shards of every works.
const shards = 4

// works is the way of a like on servers of its own: a counter that changes
// Redis, the log, and a ledger to drain it into.
type works struct {
	*counter.Counter
	t       *testing.T
	redis   string // the address
	rdb     *redis.Client
	log     *counter.Log
	pg      string // the URL
	pool    *pgxpool.Pool
	ledger  *ledger.Ledger
	drainer *tasks.Drainer
	changed atomic.Pointer[func(shard int)]
}

func newWorks(t *testing.T) *works {
	t.Helper()
	t.Parallel() // these tests wait more than they work
	opt, err := redis.ParseURL(privatetest.Redis(t).URL())
	check(t, err)
	w := &works{t: t, redis: opt.Addr, rdb: redis.NewClient(opt), pg: privatetest.Postgres(t)}
	t.Cleanup(func() { _ = w.rdb.Close() })
	w.log = counter.NewLog(w.rdb, shards)
	w.pool, err = pgxpool.New(t.Context(), w.pg)
	check(t, err)
	t.Cleanup(w.pool.Close)
	w.ledger = ledger.New(w.pool)
	check(t, ledger.Migrate(t.Context(), w.pool))
	_, err = w.ledger.Layout(t.Context(), shards)
	check(t, err)
	w.drainer = tasks.NewDrainer(w.log, w.ledger, 0, prometheus.NewRegistry())
	w.Counter = w.counter(redis.UniversalOptions{}, w.ledger, shards)
	return w
}

// counter is a process that applies ops, until the test ends.
func (w *works) counter(conn redis.UniversalOptions, l *ledger.Ledger, shards int) *counter.Counter {
	w.t.Helper()
	conn.Addrs = []string{w.redis}
	c, err := counter.New(conn, l, counter.Options{Shards: shards, Changed: func(shard int) {
		if f := w.changed.Load(); f != nil {
			(*f)(shard)
		}
	}})
	check(w.t, err)
	w.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		check(w.t, c.Close(ctx))
	})
	return c
}

// over is a drainer that reaches the stores through these addresses; "" is the
// straight way.
func (w *works) over(redisAddr, pgURL string) *tasks.Drainer {
	w.t.Helper()
	l, log := w.ledger, w.log
	if redisAddr != "" {
		rdb := redis.NewClient(&redis.Options{Addr: redisAddr, MaxRetries: -1, DialerRetries: 1, ReadTimeout: time.Second})
		w.t.Cleanup(func() { _ = rdb.Close() })
		log = counter.NewLog(rdb, shards)
	}
	if pgURL != "" {
		l = w.through(pgURL)
	}
	return tasks.NewDrainer(log, l, 0, prometheus.NewRegistry())
}

// through is the ledger by another way.
func (w *works) through(pgURL string) *ledger.Ledger {
	w.t.Helper()
	pool, err := pgxpool.New(w.t.Context(), pgURL)
	check(w.t, err)
	w.t.Cleanup(pool.Close)
	return ledger.New(pool)
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// want applies one state for many users of an item; each answer must be good.
func (w *works) want(item string, want like.Want, users ...string) []like.Result {
	w.t.Helper()
	ops := make([]like.Op, len(users))
	for i, u := range users {
		ops[i] = like.Op{Item: item, User: u, Want: want}
	}
	results := make([]like.Result, len(ops))
	check(w.t, w.Apply(w.t.Context(), ops, results))
	for _, r := range results {
		check(w.t, r.Err)
	}
	return results
}

func (w *works) drain(shards ...int) {
	w.t.Helper()
	for _, s := range shards {
		check(w.t, w.drainer.Drain(w.t.Context(), s))
	}
}

// drainAll drains until the logs are empty. One drain each is enough, unless
// Postgres has not yet noticed that a connection which held a shard is gone.
func (w *works) drainAll() {
	w.t.Helper()
	await(w.t, "the logs are drained and trimmed", func() bool {
		w.drain(0, 1, 2, 3)
		return w.entries() == 0
	})
}

// entries is how many entries the logs hold.
func (w *works) entries() (n int64) {
	w.t.Helper()
	for s := range shards {
		tail, err := w.log.Tail(w.t.Context(), s)
		check(w.t, err)
		n += tail.Len
	}
	return n
}

func (w *works) exec(sql string, args ...any) {
	w.t.Helper()
	_, err := w.pool.Exec(w.t.Context(), sql, args...)
	check(w.t, err)
}

func (w *works) number(sql string, args ...any) (n int64) {
	w.t.Helper()
	check(w.t, w.pool.QueryRow(w.t.Context(), sql, args...).Scan(&n))
	return n
}

// agree fails unless Redis, the rows and the counts say the same of each item,
// and returns the items' likers.
func (w *works) agree(items ...string) map[string][]string {
	w.t.Helper()
	all := map[string][]string{}
	for _, item := range items {
		key := "p1:{" + strconv.Itoa(counter.ShardOf(item, shards)) + "}:"
		inRedis, err := w.rdb.SMembers(w.t.Context(), key+"likers:"+item).Result()
		check(w.t, err)
		counted, err := w.rdb.HGet(w.t.Context(), key+"counts", item).Int()
		check(w.t, err)
		rows, err := w.pool.Query(w.t.Context(), `SELECT user_id FROM likes WHERE item_id = $1 AND liked ORDER BY 1`, item)
		check(w.t, err)
		inLedger, err := pgx.CollectRows(rows, pgx.RowTo[string])
		check(w.t, err)
		ledgerCount := w.number(`SELECT coalesce((SELECT count FROM item_counts WHERE item_id = $1), 0)`, item)
		slices.Sort(inRedis)
		if !slices.Equal(inRedis, inLedger) || counted != len(inRedis) || int(ledgerCount) != len(inLedger) {
			w.t.Fatalf("%s: Redis has %d (count %d), the ledger %d (count %d)",
				item, len(inRedis), counted, len(inLedger), ledgerCount)
		}
		all[item] = inLedger
	}
	return all
}

// itemIn is an item of a shard.
func itemIn(shard int) string {
	for i := 0; ; i++ {
		if item := fmt.Sprintf("item-%d", i); counter.ShardOf(item, shards) == shard {
			return item
		}
	}
}

func users(prefix string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("%s%05d", prefix, i)
	}
	return all
}

// await waits for ok, which the system reaches on its own.
func await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for until := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("it never came to be that %s", what)
		}
	}
}

// What a cutter does with the next commit.
const (
	lose    = 1 + iota // the connection ends before Postgres sees it
	swallow            // Postgres commits, the connection ends without the answer
	report             // the test is called before the answer comes through
)

// cutter stands before Postgres and cuts at one commit.
type cutter struct {
	net.Listener
	target string
	next   atomic.Int32
	report func()
}

// newCutter returns a cutter and the URL through it.
func newCutter(t *testing.T, pg string) (*cutter, string) {
	t.Helper()
	cfg, err := pgxpool.ParseConfig(pg)
	check(t, err)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	check(t, err)
	host := net.JoinHostPort(cfg.ConnConfig.Host, strconv.Itoa(int(cfg.ConnConfig.Port)))
	c := &cutter{Listener: l, target: host}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { c.serve(conn) })
		}
	})
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	return c, string(bytes.Replace([]byte(pg), []byte(host), []byte(l.Addr().String()), 1))
}

// A commit is a query of its own, or the last of a batch: then its text is in the
// message that prepares it, and its name, as pgx makes it, in the one that runs it.
var (
	committed  = sha256.Sum256([]byte("commit"))
	committing = fmt.Appendf(nil, "\x00stmtcache_%x\x00", committed[:24])
	preparing  = fmt.Appendf(nil, "stmtcache_%x\x00commit\x00", committed[:24])
)

func (c *cutter) serve(client net.Conn) {
	server, err := net.Dial("tcp4", c.target)
	if err != nil {
		_ = client.Close()
		return
	}
	var what atomic.Int32
	var wg sync.WaitGroup
	wg.Go(func() {
		copyUntil(client, server, func([]byte) bool {
			if what.Load() == report {
				what.Store(0)
				c.report()
			}
			return what.Load() != swallow
		})
	})
	copyUntil(server, client, func(b []byte) bool {
		if bytes.Contains(b, []byte("commit\x00")) && !bytes.Contains(b, preparing) || bytes.Contains(b, committing) {
			what.Store(c.next.Swap(0))
		}
		return what.Load() != lose
	})
	wg.Wait()
}

// copyUntil copies until pass says no or a side ends, then ends both.
func copyUntil(dst, src net.Conn, pass func([]byte) bool) {
	defer func() { _, _ = dst.Close(), src.Close() }()
	buf := make([]byte, 1<<16)
	for {
		n, err := src.Read(buf)
		if err != nil || !pass(buf[:n]) {
			return
		}
		if _, err := dst.Write(buf[:n]); err != nil {
			return
		}
	}
}
