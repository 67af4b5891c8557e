package model_test

import (
	"context"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"plusone/hotpath/counter"
	"plusone/hotpath/like"
	"plusone/reconcile"
	"plusone/scripts/dev/private/privatetest"
	"plusone/tasks"
	"plusone/tasks/ledger"
)

func TestMain(m *testing.M) { privatetest.Main(m, privatetest.NoLeaks) }

// rig is the real code over real stores: what a process runs, once for each
// number of shards, all over wires that a test can spoil.
type rig struct {
	t         testing.TB
	redis, pg *privatetest.Wire
	servers   []string        // addresses of the Redis servers
	doors     []*redis.Client // to each of them, not over the wire
	active    int             // the server that the wire leads to
	door      *pgx.Conn       // to Postgres, not over the wire
	ledger    *ledger.Ledger
	houses    map[int]*house // by number of shards
	resets    int
	mini      *miniredis.Miniredis
}

// house is what belongs to one number of shards: two processes with a counter each,
// the rest once.
type house struct {
	counter    *counter.Counter
	twin       *counter.Counter // whose look-ups in the ledger are slow when hook says so
	hook       *hook
	log        *counter.Log
	drainer    *tasks.Drainer
	reconciler *reconcile.Reconciler
}

var numbersOfShards = []int{2, 4}

// newRig runs over two real Redis servers, so that one can take the other's
// place.
func newRig(t testing.TB, most int) *rig {
	t.Helper()
	var servers []string
	for range 2 {
		opt, err := redis.ParseURL(privatetest.Redis(t).URL())
		must(t, err)
		servers = append(servers, opt.Addr)
	}
	r := build(t, servers, most)
	for _, door := range r.doors { // nothing here outlives its server, so it need not reach the disk
		must(t, door.ConfigSet(t.Context(), "appendonly", "no").Err())
	}
	return r
}

// newMiniRig runs over miniredis, which has no copies and no run id.
func newMiniRig(t testing.TB, most int) *rig {
	t.Helper()
	mini := miniredis.RunT(t)
	r := build(t, []string{mini.Addr()}, most)
	r.mini = mini
	return r
}

// build connects to the servers. Items with more than most likers are loaded
// partly; 0 means the default.
func build(t testing.TB, servers []string, most int) *rig {
	t.Helper()
	r := &rig{t: t, redis: privatetest.NewWire(), pg: privatetest.NewWire(), servers: servers, houses: map[int]*house{}}
	for _, addr := range servers {
		door := redis.NewClient(&redis.Options{Addr: addr})
		t.Cleanup(func() { _ = door.Close() })
		r.doors = append(r.doors, door)
	}
	url := privatetest.Postgres(t)
	cfg, err := pgxpool.ParseConfig(url)
	must(t, err)
	cfg.ConnConfig.DialFunc = r.pg.Dial
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	must(t, err)
	t.Cleanup(pool.Close)
	must(t, ledger.Migrate(t.Context(), pool))
	r.ledger = ledger.New(pool)
	_, err = r.ledger.Layout(t.Context(), numbersOfShards[0])
	must(t, err)
	r.door, err = pgx.Connect(t.Context(), url)
	must(t, err)
	t.Cleanup(func() { _ = r.door.Close(context.Background()) })

	conn := redis.UniversalOptions{Addrs: servers[:1], Dialer: r.redis.Dial}
	rdb := redis.NewUniversalClient(&redis.UniversalOptions{
		Addrs: servers[:1], Dialer: r.redis.Dial, MaxRetries: -1, DialerRetries: 1, ContextTimeoutEnabled: true,
		// A drain may run within a handshake that is held back, and would wait for that one's lock.
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	t.Cleanup(func() { _ = rdb.Close() })
	for _, n := range numbersOfShards {
		r.houses[n] = r.house(conn, rdb, n, most)
	}
	return r
}

func (r *rig) house(conn redis.UniversalOptions, rdb redis.UniversalClient, shards, most int) *house {
	r.t.Helper()
	h := &house{log: counter.NewLog(rdb, shards), hook: &hook{Ledger: r.ledger}}
	opt := counter.Options{Shards: shards, ResidentSetMax: most, Timeout: patience}
	h.counter, h.twin = r.counter(conn, r.ledger, opt), r.counter(conn, h.hook, opt)
	h.drainer = tasks.NewDrainer(h.log, r.ledger, 0, prometheus.NewRegistry())
	h.reconciler = reconcile.New(h.log, r.ledger, reconcile.Options{Rate: 1 << 30, Settle: patience})
	return h
}

// reset empties both stores, for this number of shards.
func (r *rig) reset(shards int) error {
	for _, door := range r.doors {
		if err := door.FlushAll(context.Background()).Err(); err != nil {
			return err
		}
	}
	var b pgx.Batch
	how := "DELETE FROM " // is the faster one, and leaves dead rows behind
	if r.resets++; r.resets%64 == 0 {
		how = "TRUNCATE "
	}
	for _, table := range []string{"likes", "votes", "item_counts", "watermarks", "import_marks", "repairs", "checks", "frozen_items", "acts"} {
		b.Queue(how + table)
	}
	b.Queue("UPDATE layout SET shards = $1", shards)
	b.Queue("INSERT INTO watermarks (shard) SELECT generate_series(0, $1::integer - 1)", shards)
	return r.door.SendBatch(context.Background(), &b).Close()
}

func (r *rig) counter(conn redis.UniversalOptions, src counter.Source, opt counter.Options) *counter.Counter {
	r.t.Helper()
	c, err := counter.New(conn, src, opt)
	must(r.t, err)
	r.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := c.Close(ctx); err != nil {
			r.t.Error(err)
		}
	})
	return c
}

// settle waits until Postgres has noticed which clients have gone, and ended
// their transactions and locks.
func (r *rig) settle() {
	r.t.Helper()
	locks := -1
	if !eventually(func() bool {
		must(r.t, r.door.QueryRow(background, `
			SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
			 WHERE d.datname = current_database() AND l.pid <> pg_backend_pid()`).Scan(&locks))
		return locks == 0
	}) {
		r.t.Fatalf("%d locks stay", locks)
	}
}

// patience is what a busy machine may need for what should take no time at all.
const patience = 20 * time.Second

// apply is Counter.Apply with time enough for everything that is not broken.
func (h *house) apply(ops []like.Op) []like.Result { return apply(h.counter, ops) }

func apply(c *counter.Counter, ops []like.Op) []like.Result {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	results := make([]like.Result, len(ops))
	_ = c.Apply(ctx, ops, results) // each result has its error
	return results
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
