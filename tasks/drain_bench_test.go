package tasks_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
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
)

// BenchmarkDrain drains one batch after the other beside the best upsert with
// counts that one would write by hand, in turns on one Postgres. It reports the
// processor time that a row costs each process, what the upsert costs in all, and
// how fast drains are against it: 1 is as fast, by processor time and by the
// clock (medians, since the machine may have other things to do).
func BenchmarkDrain(b *testing.B) {
	for _, rows := range []int{375, 4096} {
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) { newRace(b, rows).run() })
	}
}

// race is a drain and an upsert by hand over the same changes.
type race struct {
	b       *testing.B
	rows    int
	rng     *rand.Rand
	rdb     *redis.Client
	pool    *pgxpool.Pool
	pg      int // the server's pid
	drainer *tasks.Drainer
	version int64
}

func newRace(b *testing.B, rows int) *race {
	b.Helper()
	opt, err := redis.ParseURL(privatetest.Redis(b).URL())
	check(b, err)
	server := privatetest.PostgresServer(b)
	r := &race{b: b, rows: rows, rng: rand.New(rand.NewPCG(5, 6)), rdb: redis.NewClient(opt), pg: server.Pid()}
	b.Cleanup(func() { _ = r.rdb.Close() })
	r.pool, err = pgxpool.New(b.Context(), server.URL())
	check(b, err)
	b.Cleanup(r.pool.Close)
	l := ledger.New(r.pool)
	check(b, ledger.Migrate(b.Context(), r.pool))
	_, err = l.Layout(b.Context(), 1)
	check(b, err)
	_, err = r.pool.Exec(b.Context(), `
		CREATE TABLE raw_likes (item text COLLATE "C", who text COLLATE "C", liked boolean NOT NULL, at bigint NOT NULL, PRIMARY KEY (item, who));
		CREATE TABLE raw_counts (item text COLLATE "C" PRIMARY KEY, count bigint NOT NULL)`)
	check(b, err)
	r.drainer = tasks.NewDrainer(counter.NewLog(r.rdb, 1), l, 10*time.Second, prometheus.NewRegistry())
	return r
}

// cost is what something took of each process, and of the day.
type cost struct{ worker, postgres, redis, wall time.Duration }

func (c cost) processors() time.Duration { return c.worker + c.postgres + c.redis }

func (r *race) run() {
	var sum, raw cost
	var byCPU, byClock []float64
	turn := func() {
		changes := r.fill()
		d := r.measure(func(ctx context.Context) { check(r.b, r.drainer.Drain(ctx, 0)) })
		u := r.measure(func(ctx context.Context) { r.upsert(ctx, changes) })
		sum, raw = sum.plus(d), raw.plus(u)
		byCPU = append(byCPU, float64(u.processors())/float64(d.processors()))
		byClock = append(byClock, float64(u.wall)/float64(d.wall))
	}
	for range 8 { // plans and pools are made
		turn()
	}
	sum, raw, byCPU, byClock = cost{}, cost{}, nil, nil
	for r.b.Loop() {
		turn()
	}
	rows := float64(len(byCPU) * r.rows)
	perRow := func(d time.Duration) float64 { return float64(d.Microseconds()) / rows }
	r.b.ReportMetric(perRow(sum.worker), "worker-µs/row")
	r.b.ReportMetric(perRow(sum.postgres), "postgres-µs/row")
	r.b.ReportMetric(perRow(sum.redis), "redis-µs/row")
	r.b.ReportMetric(perRow(raw.processors()), "upsert-µs/row")
	r.b.ReportMetric(median(byCPU), "of-upsert-cpu")
	r.b.ReportMetric(median(byClock), "of-upsert-clock")
	r.b.ReportMetric(0, "ns/op")
}

// fill appends a batch of changes to the log, in entries as busy APIs write them.
func (r *race) fill() []like.Change {
	changes := make([]like.Change, 0, r.rows)
	pipe := r.rdb.Pipeline()
	for len(changes) < r.rows {
		r.version++
		var text strings.Builder
		for range min(25, r.rows-len(changes)) {
			// few items are liked much, by ever new people
			item := int(float64(20_000) * r.rng.Float64() * r.rng.Float64() * r.rng.Float64())
			ch := like.Change{
				Item: fmt.Sprintf("/posts/%d", item), User: fmt.Sprintf("user-%d", r.rng.IntN(50_000_000)),
				Liked: r.rng.IntN(16) > 0, Version: like.Version(r.version),
			}
			changes = append(changes, ch)
			sign := map[bool]string{true: "+", false: "-"}[ch.Liked]
			fmt.Fprintf(&text, "%s %s%s\n", ch.Item, sign, ch.User)
		}
		pipe.XAdd(r.b.Context(), &redis.XAddArgs{
			Stream: "p1:{0}:log", ID: like.Version(r.version).String(),
			Values: []string{"d", strings.TrimSuffix(text.String(), "\n")},
		})
	}
	_, err := pipe.Exec(r.b.Context())
	check(r.b, err)
	return changes
}

// upsert is one statement, sorted, with arrays in binary.
func (r *race) upsert(ctx context.Context, changes []like.Change) {
	slices.SortFunc(changes, func(a, b like.Change) int {
		if c := strings.Compare(a.Item, b.Item); c != 0 {
			return c
		}
		return strings.Compare(a.User, b.User)
	})
	n := len(changes)
	items, users, liked, at := make([]string, n), make([]string, n), make([]bool, n), make([]int64, n)
	for i, ch := range changes {
		items[i], users[i], liked[i], at[i] = ch.Item, ch.User, ch.Liked, int64(ch.Version)
	}
	_, err := r.pool.Exec(ctx, `
		WITH moved AS (
			INSERT INTO raw_likes (item, who, liked, at)
			SELECT DISTINCT ON (item, who) * FROM unnest($1::text[], $2::text[], $3::boolean[], $4::bigint[]) AS r (item, who, liked, at)
			ON CONFLICT (item, who) DO UPDATE SET liked = EXCLUDED.liked, at = EXCLUDED.at
			 WHERE raw_likes.liked <> EXCLUDED.liked
			RETURNING item, CASE WHEN liked THEN 1 ELSE -1 END AS delta
		)
		INSERT INTO raw_counts SELECT item, sum(delta) FROM moved GROUP BY item ORDER BY item
		ON CONFLICT (item) DO UPDATE SET count = raw_counts.count + EXCLUDED.count`, items, users, liked, at)
	check(r.b, err)
}

func (r *race) measure(do func(context.Context)) cost {
	r.b.Helper()
	before := r.now()
	do(r.b.Context())
	return r.now().minus(before)
}

// now is what everything has used so far.
func (r *race) now() cost {
	r.b.Helper()
	info, err := r.rdb.InfoMap(r.b.Context(), "cpu").Result()
	check(r.b, err)
	var c cost
	for _, name := range []string{"used_cpu_sys", "used_cpu_user"} {
		s, err := strconv.ParseFloat(info["CPU"][name], 64)
		check(r.b, err)
		c.redis += time.Duration(s * float64(time.Second))
	}
	var own syscall.Rusage
	check(r.b, syscall.Getrusage(syscall.RUSAGE_SELF, &own))
	c.worker = time.Duration(own.Utime.Nano() + own.Stime.Nano())
	c.postgres = r.ofPostgres()
	c.wall = time.Duration(time.Now().UnixNano())
	return c
}

// ofPostgres is what the processes of the server have used that are there now: 0
// where the system has no /proc.
func (r *race) ofPostgres() (used time.Duration) {
	r.b.Helper()
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", r.pg, r.pg))
	for _, pid := range strings.Fields(string(children)) {
		stat, err := os.ReadFile(filepath.Join("/proc", pid, "schedstat"))
		if err != nil {
			continue // it has ended
		}
		ns, err := strconv.ParseInt(strings.Fields(string(stat))[0], 10, 64)
		check(r.b, err)
		used += time.Duration(ns)
	}
	return used
}

func (c cost) plus(o cost) cost {
	return cost{c.worker + o.worker, c.postgres + o.postgres, c.redis + o.redis, c.wall + o.wall}
}

func (c cost) minus(o cost) cost {
	return cost{c.worker - o.worker, c.postgres - o.postgres, c.redis - o.redis, c.wall - o.wall}
}

func median(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}
