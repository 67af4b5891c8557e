package tasks_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"plusone/hotpath/counter"
	"plusone/hotpath/like"
	"plusone/scripts/dev/private/privatetest"
	"plusone/tasks"
)

func TestADrainedLogIsInTheLedgerAndGone(t *testing.T) {
	w := newWorks(t)
	item := itemIn(1)
	w.want(item, like.Liked, users("u", 10_000)...) // more than two batches
	w.want(item, like.NotLiked, users("u", 3_000)...)
	w.want(item, like.NotLiked, "never")
	w.drainAll()
	if n := len(w.agree(item)[item]); n != 7_000 {
		t.Fatalf("%d likes are left of 7000", n)
	}
	if n := w.number(`SELECT count(*) FROM likes WHERE NOT liked`); n != 3_000 {
		t.Fatalf("%d tombstones, want 3000", n)
	}
	if b := w.number(`SELECT bucket FROM item_counts WHERE item_id = $1`, item); int(b) != counter.Bucket(item) {
		t.Fatalf("bucket %d", b)
	}
}

func TestDrainsThatRunAtOnceWithTrafficLoseAndRepeatNothing(t *testing.T) {
	w := newWorks(t)
	items := []string{itemIn(0), itemIn(0) + "b", itemIn(1), itemIn(2), itemIn(3)}
	traffic, stop := context.WithCancel(t.Context())
	defer stop()
	var writers, drainers sync.WaitGroup
	for i := range 4 {
		writers.Go(func() {
			r := rand.New(rand.NewPCG(2, uint64(i)))
			for range 150 {
				ops, results := make([]like.Op, 40), make([]like.Result, 40)
				for o := range ops {
					ops[o] = like.Op{Item: items[r.IntN(len(items))], User: fmt.Sprintf("u%d", r.IntN(200)), Want: like.Want(r.IntN(3))}
				}
				if err := w.Apply(t.Context(), ops, results); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range 6 { // three per shard on average, two always
		drainers.Go(func() {
			for s := i; traffic.Err() == nil; s++ {
				if err := w.drainer.Drain(t.Context(), s%shards); err != nil && !errors.Is(err, tasks.ErrUnfinished) {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	stop()
	drainers.Wait()
	w.drainAll()
	w.agree(items...)
}

func TestACommitThatNeverArrivesIsRepeated(t *testing.T) {
	w := newWorks(t)
	item := itemIn(0)
	w.want(item, like.Liked, users("u", 50)...)
	cut, url := newCutter(t, w.pg)
	d := w.over("", url)
	cut.next.Store(lose)
	if err := d.Drain(t.Context(), 0); !errors.Is(err, like.ErrUnavailable) {
		t.Fatalf("a lost commit: %v", err)
	}
	if n := w.number(`SELECT count(*) FROM likes`); n != 0 {
		t.Fatalf("%d rows without a commit", n)
	}
	check(t, d.Drain(t.Context(), 0))
	if n := len(w.agree(item)[item]); n != 50 {
		t.Fatalf("%d likes of 50", n)
	}
}

func TestACommitWhoseAnswerIsLostCountsOnce(t *testing.T) {
	w := newWorks(t)
	item := itemIn(0)
	w.want(item, like.Liked, users("u", 50)...)
	cut, url := newCutter(t, w.pg)
	d := w.over("", url)
	cut.next.Store(swallow)
	if err := d.Drain(t.Context(), 0); !errors.Is(err, like.ErrUnavailable) {
		t.Fatalf("a lost answer: %v", err)
	}
	await(t, "the commit is seen", func() bool { return w.number(`SELECT count(*) FROM likes`) == 50 })
	if w.entries() == 0 {
		t.Fatal("the log was trimmed without knowing of the commit")
	}
	w.want(item, like.NotLiked, "u00000")
	w.drainAll()
	if n := len(w.agree(item)[item]); n != 49 {
		t.Fatalf("%d likes of 49", n)
	}
}

func TestADrainAfterACrashBeforeTheTrimOnlyTrims(t *testing.T) {
	w := newWorks(t)
	item := itemIn(0)
	w.want(item, like.Liked, users("u", 50)...)
	proxy := privatetest.NewProxy(t, w.redis)
	cut, url := newCutter(t, w.pg)
	cut.report = func() { proxy.Cut(true) }
	cut.next.Store(report)
	if err := w.over(proxy.Addr(), url).Drain(t.Context(), 0); !errors.Is(err, like.ErrUnavailable) {
		t.Fatalf("a drain cut off from Redis: %v", err)
	}
	if w.number(`SELECT count(*) FROM likes`) != 50 || w.entries() == 0 {
		t.Fatal("it was not cut between commit and trim")
	}
	before := w.number(`SELECT sum(xmin::text::bigint) FROM likes`)
	w.drainAll()
	if w.number(`SELECT sum(xmin::text::bigint) FROM likes`) != before {
		t.Fatal("rows were written again")
	}
	w.agree(item)
}

// hold locks the pair's row, so that a drain that writes it waits; release lets
// it go on.
func (w *works) hold(item, user string) (waiting func() bool, release func()) {
	w.t.Helper()
	tx, err := w.pool.Begin(w.t.Context())
	check(w.t, err)
	_, err = tx.Exec(w.t.Context(), `SELECT FROM likes WHERE item_id = $1 AND user_id = $2 FOR UPDATE`, item, user)
	check(w.t, err)
	return func() bool {
		return w.number(`SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`) > 0
	}, func() { check(w.t, tx.Rollback(w.t.Context())) }
}

func TestADrainThatDiesWhileItWritesLeavesNothing(t *testing.T) {
	w := newWorks(t)
	item := itemIn(0)
	w.want(item, like.Liked, "a")
	w.drainAll()
	w.want(item, like.NotLiked, "a")
	w.want(item, like.Liked, users("u", 50)...)
	for name, die := range map[string]func(cancel func()){
		"cancelled": func(cancel func()) { cancel() },
		"killed": func(func()) {
			w.exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`)
		},
	} {
		await(t, "no dead drain holds the shard any more", func() bool {
			b, err := w.ledger.Begin(t.Context(), 0)
			if err == nil {
				b.Rollback(t.Context())
			}
			return err == nil
		})
		waiting, release := w.hold(item, "a")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- w.drainer.Drain(ctx, 0) }()
		await(t, "the drain waits for the row", waiting)
		w.drain(0) // another one meanwhile finds the shard locked and leaves
		die(cancel)
		if err := <-done; err == nil {
			t.Fatalf("%s: the drain says that it is done", name)
		}
		release()
		cancel()
		if n := w.number(`SELECT count(*) FROM likes`); n != 1 {
			t.Fatalf("%s: %d rows, want the 1 from before", name, n)
		}
	}
	w.drainAll()
	if n := len(w.agree(item)[item]); n != 50 {
		t.Fatalf("%d likes of 50", n)
	}
}
