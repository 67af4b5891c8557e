package reconcile

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"plusone/hotpath/counter"
	"plusone/hotpath/like"
	"plusone/scripts/dev/private"
	"plusone/scripts/dev/private/privatetest"
	"plusone/tasks"
	"plusone/tasks/ledger"
)

func TestMain(m *testing.M) { privatetest.Main(m, privatetest.NoLeaks) }

const shards = 4

// rig is both sides, a counter in front and a drain behind.
type rig struct {
	t       testing.TB
	server  *private.Redis
	pg      string // URL
	rdb     *redis.Client
	pool    *pgxpool.Pool
	ledger  *ledger.Ledger
	log     *counter.Log
	counter *counter.Counter
	drainer *tasks.Drainer
}

func newRig(t testing.TB) *rig {
	t.Helper()
	return newRigOf(t, counter.Options{Shards: shards})
}

func newRigOf(t testing.TB, counts counter.Options) *rig {
	t.Helper()
	server := privatetest.Redis(t)
	opt, err := redis.ParseURL(server.URL())
	ok(t, err)
	opt.MaxRetries, opt.DialerRetries, opt.ReadTimeout = -1, 1, 3*time.Second // as plusone has it
	pg := privatetest.Postgres(t)
	pool, err := pgxpool.New(t.Context(), pg)
	ok(t, err)
	t.Cleanup(pool.Close)
	r := &rig{t: t, server: server, pg: pg, pool: pool, ledger: ledger.New(pool), rdb: redis.NewClient(opt)}
	t.Cleanup(func() { _ = r.rdb.Close() })
	ok(t, ledger.Migrate(t.Context(), pool))
	_, err = r.ledger.Layout(t.Context(), shards)
	ok(t, err)
	r.log = counter.NewLog(r.rdb, shards)
	r.drainer = tasks.NewDrainer(r.log, r.ledger, 0, prometheus.NewRegistry())
	r.counter, err = counter.New(redis.UniversalOptions{Addrs: []string{opt.Addr}}, r.ledger, counts)
	ok(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = r.counter.Close(ctx)
	})
	return r
}

// drain moves everything that is in the logs now.
func (r *rig) drain() {
	r.t.Helper()
	for s := range shards {
		ok(r.t, r.drainer.Drain(r.t.Context(), s))
	}
}

// draining drains all the time, until the test ends.
func (r *rig) draining() {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			for s := range shards {
				_ = r.drainer.Drain(ctx, s)
			}
			select {
			case <-ctx.Done():
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	r.t.Cleanup(func() { stop(); <-done })
}

func (r *rig) reconciler(opt Options) *Reconciler { return New(r.log, r.ledger, opt) }

// like likes items by users u0…u(n-1).
func (r *rig) like(item string, n int) {
	r.t.Helper()
	for from := 0; from < n; from += 1000 {
		ops := make([]like.Op, min(1000, n-from))
		for i := range ops {
			ops[i] = like.Op{Item: item, User: fmt.Sprintf("u%d", from+i), Want: like.Liked}
		}
		res := make([]like.Result, len(ops))
		ok(r.t, r.counter.Apply(r.t.Context(), ops, res))
		for _, x := range res {
			ok(r.t, x.Err)
		}
	}
}

func (r *rig) once(dry bool) Report {
	r.t.Helper()
	rep, err := r.reconciler(Options{}).Once(r.t.Context(), dry)
	ok(r.t, err)
	return rep
}

// agree holds I1, I2 and I3 for an item, and that its count is n.
func (r *rig) agree(item string, n int64) {
	r.t.Helper()
	r.drain()
	var count, rows int64
	ok(r.t, r.pool.QueryRow(r.t.Context(), `SELECT count FROM item_counts WHERE item_id = $1`, item).Scan(&count))
	ok(r.t, r.pool.QueryRow(r.t.Context(), `SELECT count(*) FROM likes WHERE item_id = $1 AND liked`, item).Scan(&rows))
	c, err := r.rdb.HGet(r.t.Context(), key(item, "counts"), item).Int64()
	ok(r.t, err)
	card, err := r.rdb.SCard(r.t.Context(), likers(item)).Result()
	ok(r.t, err)
	if count != n || rows != n || c != n || card != n {
		r.t.Errorf("%s: ledger count %d, rows %d, redis count %d, cardinality %d; want %d", item, count, rows, c, card, n)
	}
}

func (r *rig) exec(sql string, args ...any) {
	r.t.Helper()
	tag, err := r.pool.Exec(r.t.Context(), sql, args...)
	ok(r.t, err)
	if tag.RowsAffected() == 0 {
		r.t.Fatalf("%s changed nothing", sql)
	}
}

func key(item, name string) string {
	return fmt.Sprintf("p1:{%d}:%s", counter.ShardOf(item, shards), name)
}

func likers(item string) string { return key(item, "likers:"+item) }

// told is a report's findings as text: cause, item, user, before and after.
func told(rep Report) string {
	var lines []string
	for _, d := range rep.Drifts {
		lines = append(lines, fmt.Sprintf("%s: %s %s %s→%s %v", d.Cause, d.Item, d.User, d.Before, d.After, d.Repaired))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func expect(t testing.TB, rep Report, lines ...string) {
	t.Helper()
	slices.Sort(lines)
	if got, want := told(rep), strings.Join(lines, "\n"); got != want {
		t.Errorf("findings:\n%s\nwant:\n%s", got, want)
	}
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
