package tasks_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"plusone/hotpath/counter"
	"plusone/hotpath/like"
	"plusone/scripts/dev/private/privatetest"
	"plusone/tasks"
	"plusone/tasks/ledger"
)

// worker is a running worker over a Postgres that can be taken away.
type worker struct {
	*works
	bell    *tasks.Bell
	tasks   *asynq.Inspector
	reg     *prometheus.Registry
	network *privatetest.Proxy // to Postgres
}

func newWorker(t *testing.T) *worker {
	t.Helper()
	w := &worker{works: newWorks(t), reg: prometheus.NewRegistry()}
	w.network = privatetest.NewProxy(t, w.pg)
	pool, err := pgxpool.New(t.Context(), through(t, w.pg, w.network))
	check(t, err)
	l := ledger.New(pool)
	w.tasks = asynq.NewInspectorFromRedisClient(w.rdb)
	w.bell = tasks.NewBell(tasks.NewQueue(w.rdb), w.reg)
	ring := func(shard int) { w.bell.Ring(shard) }
	w.changed.Store(&ring)
	d := tasks.NewDrainer(w.log, l, 0, w.reg)
	run(t, tasks.NewServer(w.rdb, d, w.bell, tasks.ServerOptions{Concurrency: 4, ShutdownTimeout: time.Second}).Run,
		w.bell.Run, tasks.NewSweeper(w.log, l, w.bell, w.reg).Run)
	t.Cleanup(pool.Close)
	return w
}

// run runs parts until the test ends, and waits for them.
func run(t *testing.T, parts ...func(context.Context) error) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for _, part := range parts {
		wg.Go(func() {
			if err := part(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(func() { stop(); wg.Wait() })
}

// left lists the ids of the drain tasks that are in Redis, in any state.
func (w *worker) left() (ids []string) {
	w.t.Helper()
	return w.list(w.tasks.ListPendingTasks, w.tasks.ListActiveTasks, w.tasks.ListScheduledTasks,
		w.tasks.ListRetryTasks, w.tasks.ListArchivedTasks)
}

// failed lists the ids of those that asynq keeps because they failed.
func (w *worker) failed() []string {
	w.t.Helper()
	return w.list(w.tasks.ListRetryTasks, w.tasks.ListArchivedTasks)
}

func (w *worker) list(states ...func(string, ...asynq.ListOption) ([]*asynq.TaskInfo, error)) (ids []string) {
	w.t.Helper()
	for _, list := range states {
		found, err := list(tasks.QueueDrain, asynq.PageSize(10_000))
		if err != nil && strings.Contains(err.Error(), "not found") {
			continue // no task was ever enqueued
		}
		check(w.t, err)
		for _, info := range found {
			ids = append(ids, info.ID)
		}
	}
	return ids
}

// metric sums a family over its labels; a histogram counts its observations.
func metric(t *testing.T, reg *prometheus.Registry, name string) (sum float64) {
	t.Helper()
	families, err := reg.Gather()
	check(t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return sum
}

func (w *worker) metric(name string) float64 { return metric(w.t, w.reg, name) }

func TestALikeReachesTheLedgerByItself(t *testing.T) {
	w := newWorker(t)
	var items []string
	for s := range shards {
		items = append(items, itemIn(s))
		w.want(itemIn(s), like.Liked, users("u", 100)...)
	}
	await(t, "the logs are empty", func() bool { return w.entries() == 0 })
	w.agree(items...)
	await(t, "no task is left", func() bool { return len(w.left()) == 0 })
	if n := w.metric("plusone_drained_rows_total"); n != 400 {
		t.Fatalf("%v rows were counted, want 400", n)
	}
	if w.metric("plusone_drain_batch_rows") == 0 || w.metric("plusone_drain_duration_seconds") == 0 {
		t.Fatal("drains were not measured")
	}
}

func TestWithoutPostgresOneTaskPerShardWaitsAndNothingIsLost(t *testing.T) {
	w := newWorker(t)
	w.network.Cut(true)
	var items []string
	for s := range shards {
		items = append(items, itemIn(s))
	}
	for i, until := 0, time.Now().Add(3*time.Second); time.Now().Before(until); i++ {
		for _, item := range items {
			w.want(item, like.Liked, fmt.Sprintf("u%d", i))
		}
		for _, id := range w.failed() {
			if !strings.HasSuffix(id, ":retry") {
				t.Fatalf("%s failed instead of handing over", id)
			}
		}
	}
	await(t, "only retry tasks wait, one per shard", func() bool {
		left := w.left()
		for _, id := range left {
			if !strings.HasSuffix(id, ":retry") {
				return false
			}
		}
		return len(left) == shards
	})
	await(t, "the lag shows", func() bool { return w.metric("plusone_drain_lag_seconds") > shards })
	w.network.Cut(false)
	await(t, "the logs are empty", func() bool { return w.entries() == 0 })
	for item, likers := range w.agree(items...) {
		if len(likers) == 0 {
			t.Fatalf("%s has no likes", item)
		}
	}
	await(t, "no task is left", func() bool { return len(w.left()) == 0 })
	await(t, "the gauges are back", func() bool {
		return w.metric("plusone_drain_lag_seconds") == 0 && w.metric("plusone_log_entries") == 0
	})
}

func TestTasksThatAreStuckInTheArchiveBlockNothing(t *testing.T) {
	w := newWorker(t)
	item := itemIn(0)
	client := asynq.NewClientFromRedisClient(w.rdb)
	block := func(id string) {
		_, err := client.Enqueue(asynq.NewTask(tasks.TypeDrain, []byte(`{"shard":0}`)),
			asynq.Queue(tasks.QueueDrain), asynq.TaskID(id), asynq.ProcessIn(time.Hour))
		check(t, err)
		check(t, w.tasks.ArchiveTask(tasks.QueueDrain, id))
	}
	block("drain:0:retry")
	for b := range int64(10) {
		block(fmt.Sprintf("drain:0:%d", time.Now().UnixMilli()/100+b))
	}
	w.network.Cut(true)
	w.want(item, like.Liked, users("u", 10)...)
	await(t, "a drain has failed", func() bool { return w.metric("plusone_drain_duration_seconds") > 0 })
	w.network.Cut(false)
	await(t, "the log is empty", func() bool { return w.entries() == 0 })
	w.agree(item)
}

func TestATaskThatMakesNoSenseIsGone(t *testing.T) {
	w := newWorker(t)
	client := asynq.NewClientFromRedisClient(w.rdb)
	for _, payload := range []string{"", "{}", `{"shard":-1}`, `{"shard":4}`, "\xff"} {
		_, err := client.Enqueue(asynq.NewTask(tasks.TypeDrain, []byte(payload)), asynq.Queue(tasks.QueueDrain))
		check(t, err)
	}
	await(t, "no task is left", func() bool { return len(w.left()) == 0 })
}

func TestADrainedLogThatIsPinnedIsNotRungFor(t *testing.T) {
	w := newWorks(t)
	item := itemIn(0)
	w.want(item, like.Liked, "a")
	tail, err := w.log.Tail(t.Context(), 0)
	check(t, err)
	check(t, w.rdb.Set(t.Context(), "p1:{0}:pin", tail.Oldest.String()+" token", 0).Err())
	w.drain(0)
	held := w.entries()
	if held == 0 {
		t.Fatal("the pin does not hold")
	}
	reg := prometheus.NewRegistry()
	bell := tasks.NewBell(tasks.NewQueue(w.rdb), reg)
	run(t, bell.Run, tasks.NewSweeper(w.log, w.ledger, bell, reg).Run)
	await(t, "a sweep sees the pinned entry", func() bool { return metric(t, reg, "plusone_log_entries") == float64(held) })
	check(t, w.rdb.Del(t.Context(), "p1:{0}:pin").Err())
	await(t, "a sweep has trimmed it", func() bool { return w.entries() == 0 })
	await(t, "the gauge is back", func() bool { return metric(t, reg, "plusone_log_entries") == 0 })
	if n := metric(t, reg, "plusone_doorbells_total"); n != 0 {
		t.Fatalf("it was rung for %v times", n)
	}
}

func TestTheMarkerOfANewShardIsNoLag(t *testing.T) {
	w := newWorks(t)
	w.want(itemIn(0), like.Liked, "a") // behind the marker, whose id is that of 1970
	reg := prometheus.NewRegistry()
	run(t, tasks.NewSweeper(w.log, w.ledger, tasks.NewBell(tasks.NewQueue(w.rdb), reg), reg).Run)
	await(t, "a sweep has looked", func() bool { return metric(t, reg, "plusone_log_entries") > 0 })
	if lag := metric(t, reg, "plusone_drain_lag_seconds"); lag > 60 {
		t.Errorf("the lag is %v s", lag)
	}
}

func TestARingIsOneTaskPerShardAndBucket(t *testing.T) {
	w := &worker{works: newWorks(t)}
	w.tasks = asynq.NewInspectorFromRedisClient(w.rdb)
	bells := make([]*tasks.Bell, 2) // two processes
	for i := range bells {
		bells[i] = tasks.NewBell(tasks.NewQueue(w.rdb), prometheus.NewRegistry())
		run(t, bells[i].Run)
	}
	start := time.Now()
	for range 500 {
		for _, b := range bells {
			b.Ring(0, 1, 2)
		}
	}
	await(t, "all are rung for", func() bool { return len(w.left()) >= 3 })
	// A ring within a bucket that was rung already is rung in the next.
	buckets := int(time.Since(start)/(100*time.Millisecond)) + 3
	if n := len(w.left()); n > 3*buckets {
		t.Fatalf("%d tasks in at most %d buckets", n, buckets)
	}
	rings := func() (n int) {
		for _, id := range w.left() {
			if strings.HasPrefix(id, "drain:3:") {
				n++
			}
		}
		return n
	}
	bells[0].Ring(3)
	await(t, "another shard is rung for at once", func() bool { return rings() == 1 })
	bells[0].Ring(3)
	await(t, "the second ring comes in the next bucket", func() bool { return rings() == 2 })
}

func TestABusyShardIsRungForTwiceASecondUnlessSomebodyWaits(t *testing.T) {
	bell := tasks.NewBell(nil, prometheus.NewRegistry())
	rings := func(ask func(), shard int) (n int) {
		for bucket := int64(1000); bucket < 1050; bucket++ { // five seconds
			ask()
			if due, _ := bell.Take(bucket); slices.Contains(due, shard) {
				n++
			}
		}
		return n
	}
	for _, c := range []struct {
		what string
		ask  func(shard int)
		want int
	}{
		{"one change per bucket", func(s int) { bell.Changed(s) }, 50},
		{"many changes", func(s int) {
			for range 20 {
				bell.Changed(s)
			}
		}, 10},
		{"a drain that saw more coming", func(s int) { bell.Later(s) }, 10},
		{"somebody waits", func(s int) { bell.Later(s); bell.Ring(s) }, 50},
	} {
		for shard := range 7 {
			if n := rings(func() { c.ask(shard) }, shard); n < c.want || n > c.want+1 {
				t.Errorf("%s: shard %d was rung for %d times, want %d", c.what, shard, n, c.want)
			}
			bell.Take(2000 + int64(shard)) // nothing stays behind
		}
	}
	bell.Changed(0)
	if due, more := bell.Take(3000); len(due) != 1 || more {
		t.Errorf("due %v, more %v", due, more)
	}
	bell.Later(0)
	if due, more := bell.Take(3001); len(due) != 0 || !more {
		t.Errorf("busy: due %v, more %v", due, more)
	}
	bell.Ring(0)
	if due, more := bell.Take(3002); len(due) != 1 || more {
		t.Errorf("waited for: due %v, more %v", due, more)
	}
}

func TestARingNeverBlocksAndIsRungWhenRedisIsBack(t *testing.T) {
	w := newWorks(t)
	p := privatetest.NewProxy(t, w.redis)
	client := redis.NewClient(&redis.Options{Addr: p.Addr(), MaxRetries: -1, ReadTimeout: 100 * time.Millisecond, DialTimeout: 100 * time.Millisecond})
	defer func() { _ = client.Close() }()
	reg := prometheus.NewRegistry()
	bell := tasks.NewBell(tasks.NewQueue(client), reg)
	run(t, bell.Run)
	p.Cut(true)
	start := time.Now()
	for i := range 100_000 {
		bell.Ring(i % counter.Buckets)
	}
	if took := time.Since(start); took > time.Minute { // waiting for Redis they would take hours
		t.Fatalf("100,000 rings took %v", took)
	}
	p.Cut(false)
	inspector := asynq.NewInspectorFromRedisClient(w.rdb)
	await(t, "rings come through again", func() bool {
		bell.Ring(1)
		q, err := inspector.GetQueueInfo(tasks.QueueDrain)
		return err == nil && q.Pending > 0
	})
}
