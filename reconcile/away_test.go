package reconcile

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"plusone/hotpath/like"
)

func TestRedisKilledUnderLoadIsReplacedByTheLedgerAndComesBack(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.draining()
	a, b := r.node(), r.node()
	l := r.load(8, a, b)
	l.more(500)

	r.server.Kill()
	killed := time.Now()
	await(t, "the ledger takes a like", func() bool { return l.direct.Load() > 0 })
	inTime(t, "the ledger takes over", time.Since(killed), 4*time.Second)
	l.more(500)
	ok(t, r.server.Restart(t.Context()))
	inTime(t, "Redis takes over", r.awaitMode(false), 5*time.Second)
	l.more(500)
	r.settle(l)
}

// inTime holds what is promised, and on a machine that is busy with other tests
// twice as much.
func inTime(t *testing.T, what string, took, promise time.Duration) {
	t.Helper()
	t.Logf("%s after %v, promised are %v", what, took, promise)
	if took > 2*promise {
		t.Errorf("%s too late", what)
	}
}

func TestAnEmptyOrStaleRedisComesBackRight(t *testing.T) {
	for _, kind := range []string{"empty", "stale"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.draining()
			a, b := r.node(), r.node()
			l := r.load(8, a, b)
			l.more(300)
			data, old := r.redisData(), ""
			if kind == "stale" {
				old = t.TempDir()
				ok(t, os.CopyFS(old, os.DirFS(data)))
			}
			l.more(300)
			l.end() // what only the log has would be lost with it
			r.drained()
			r.server.Kill()
			l = r.goOn(l.held, 8, a, b)
			l.directOps()
			l.more(300)
			r.replace(data, old)
			l.more(300)
			r.awaitMode(false)
			l.more(300)
			r.settle(l)
		})
	}
}

func TestWhatWaitedInTheLogIsDrainedAndLosesAgainstNewerRowsOnly(t *testing.T) {
	t.Parallel()
	r := newRig(t) // nobody drains
	n := r.node()
	do := func(user string, want like.Want) like.Result {
		t.Helper()
		var res like.Result
		await(t, "the like is taken", func() bool { res, _ = n.try("page", user, want); return res.Err == nil })
		return res
	}
	for i := range 10 {
		do(fmt.Sprint("old", i), like.Liked)
	}
	r.server.Kill()
	r.awaitMode(true)
	if res := do("old3", like.NotLiked); res.Source != like.FromLedger || res.Changed {
		t.Errorf("the ledger, which has not seen the like, says %+v", res)
	}
	do("new", like.Liked)
	ok(t, r.server.Restart(t.Context()))
	r.draining()
	r.awaitMode(false)
	if res := do("newer", like.Liked); res.Source != "" || res.Count != 11 {
		t.Errorf("back in Redis: %+v", res)
	}
	r.drained()
	r.agree("page", 11) // 9 old ones, new and newer
	expect(t, r.once(false))
}

func TestANodeThatAloneCanNotReachRedisRefusesAndDirectsNobody(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.draining()
	a, b := r.node(), r.node()
	l := r.load(4, b)
	l.more(100)
	a.redis.Cut(true)
	await(t, "the cut is noticed", func() bool { _, err := a.fence.Ready(); return err != nil })
	var times []time.Duration
	for until := time.Now().Add(2 * time.Second); time.Now().Before(until); time.Sleep(20 * time.Millisecond) {
		res, took := a.try("page", "u", like.Liked)
		if !errors.Is(res.Err, like.ErrUnavailable) {
			t.Fatalf("a node without Redis answers %+v after %v", res, took)
		}
		times = append(times, took)
	}
	// One that waits for Redis waits each time; a machine that stands still, now and then.
	if slices.Sort(times); times[len(times)/2] > 50*time.Millisecond {
		t.Errorf("a node without Redis refuses after %v", times)
	}
	if reading, err := a.Read(t.Context(), []string{"item1"}, "c0-1"); err != nil || reading[0].Source != like.FromLedger {
		t.Errorf("a node without Redis reads %+v, %v", reading, err)
	}
	if direct, epoch := r.mode(); direct || epoch != 0 {
		t.Errorf("direct %v, epoch %d", direct, epoch)
	}
	a.redis.Cut(false)
	await(t, "it is back", func() bool { res, _ := a.try("page", "u", like.Liked); return res.Err == nil })
	if l.direct.Load() > 0 {
		t.Error("likes were written directly")
	}
	r.settle(l)
}

// What Redis does in turns: nothing of it is an outage, and all together must
// neither lose a like nor make writes go back and forth.
func TestARedisThatIsHalfAliveDoesNotMakeWritesFlap(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.draining()
	a, b := r.node(), r.node()
	l := r.load(6, a, b)
	l.more(200)
	rounds := 4
	if os.Getenv("PLUSONE_TEST_LONG") != "" {
		rounds = 60
	}
	for i := range rounds {
		for _, n := range []*node{a, b} {
			switch i % 4 {
			case 0:
				n.redis.Cut(true)
				n.redis.Cut(false)
			case 1:
				n.redis.DropReplies(true)
			case 2:
				n.redis.Delay(200 * time.Millisecond)
			}
		}
		time.Sleep(700 * time.Millisecond)
		for _, n := range []*node{a, b} {
			n.redis.DropReplies(false)
			n.redis.Delay(0)
		}
		time.Sleep(300 * time.Millisecond)
	}
	_, epoch := r.mode()
	t.Logf("%d changes of the mode in %d s", epoch, rounds)
	if epoch > 4 {
		t.Errorf("the mode changed %d times", epoch)
	}
	l.more(100)
	r.settle(l)
}
