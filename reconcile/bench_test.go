package reconcile

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What a pair costs in a pass over stores that agree, by process: items of many
// sizes, users whose ids are numbers.
func BenchmarkPass(b *testing.B) {
	r := newRig(b)
	r.exec(`
		INSERT INTO likes (item_id, user_id, liked, version)
		SELECT 'item-' || i, (100000000000 + 40000 * i::bigint + u)::text, true, u
		  FROM generate_series(1, 400) i, generate_series(1, 20000 / i) u ORDER BY random()`)
	r.exec(`INSERT INTO item_counts (item_id, bucket, count) SELECT item_id, 0, count(*) FROM likes GROUP BY item_id`)
	_, err := r.pool.Exec(b.Context(), `ANALYZE likes`)
	ok(b, err)
	var pairs int64
	for i := range 400 {
		item := fmt.Sprintf("item-%d", i+1)
		r.like(item, 1) // loads the item
		pairs += int64(20000/(i+1)) + 1
	}
	r.drain()
	rec := r.reconciler(Options{})
	var used costs
	for b.Loop() {
		before := r.costs()
		rep, err := rec.Once(b.Context(), false)
		ok(b, err)
		if rep.Pairs != pairs || len(rep.Drifts) > 0 || len(rep.Skipped) > 0 {
			b.Fatalf("%d of %d pairs compared, %d findings", rep.Pairs, pairs, len(rep.Drifts))
		}
		for name, t := range r.costs() {
			used[name] += t - before[name]
		}
	}
	n := float64(pairs) * float64(b.N)
	b.ReportMetric(n/b.Elapsed().Seconds(), "pairs/s")
	for i, name := range []string{"reconcile", "redis", "postgres"} {
		b.ReportMetric(float64(used[i].Nanoseconds())/n, name+"-ns/pair")
	}
}

// costs are the CPU times of this process, of Redis and of Postgres.
type costs [3]time.Duration

func (r *rig) costs() (c costs) {
	r.t.Helper()
	var own syscall.Rusage
	ok(r.t, syscall.Getrusage(syscall.RUSAGE_SELF, &own))
	c[0] = time.Duration(own.Utime.Nano() + own.Stime.Nano())
	c[1] = r.scheduled(strconv.Itoa(r.server.Pid()))
	var backend string
	ok(r.t, r.pool.QueryRow(r.t.Context(), `SELECT pg_backend_pid()::text`).Scan(&backend))
	stat, _ := os.ReadFile(filepath.Join("/proc", backend, "stat"))
	_, after, _ := strings.Cut(string(stat), ") ") // the state and the parent's pid come next
	fields := append(strings.Fields(after), "", "")
	children, _ := os.ReadFile(filepath.Join("/proc", fields[1], "task", fields[1], "children"))
	for _, pid := range strings.Fields(string(children)) {
		c[2] += r.scheduled(pid)
	}
	return c
}

// scheduled is how long a process' main thread ran: 0 where the system does not
// tell.
func (r *rig) scheduled(pid string) time.Duration {
	r.t.Helper()
	stat, err := os.ReadFile(filepath.Join("/proc", pid, "schedstat"))
	if err != nil {
		return 0
	}
	ns, err := strconv.ParseInt(strings.Fields(string(stat))[0], 10, 64)
	ok(r.t, err)
	return time.Duration(ns)
}
