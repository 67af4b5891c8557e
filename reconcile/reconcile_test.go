package reconcile

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/time/rate"

	"plusone/hotpath/counter"
	"plusone/hotpath/like"
	"plusone/scripts/dev/private/privatetest"
)

func TestEveryKindOfDamageIsNamedRepairedAndGone(t *testing.T) {
	r := newRig(t)
	for _, row := range []struct {
		name   string
		damage func(item string)
		want   []string
		count  int64
	}{
		{"nothing", func(string) {}, nil, 5},
		{
			"a member is lost", func(i string) { ok(t, r.rdb.SRem(t.Context(), likers(i), "u1").Err()) },
			[]string{CauseSetLost + ": %s u1 not liked→liked true"},
			5,
		},
		{"a member and its count are lost", func(i string) {
			ok(t, r.rdb.SRem(t.Context(), likers(i), "u1").Err())
			ok(t, r.rdb.HIncrBy(t.Context(), key(i, "counts"), i, -1).Err())
		}, []string{CauseSetLost + ": %s u1 not liked→liked true", CauseSetCount + ": %s  4→5 true"}, 5},
		{
			"a row is lost", func(i string) { r.exec(`DELETE FROM likes WHERE item_id = $1 AND user_id = 'u2'`, i) },
			[]string{CauseLedgerCount + ": %s  5→4 true", CauseLedgerLost + ": %s u2 no row→liked true"},
			5,
		},
		{"a row and its count are lost", func(i string) {
			r.exec(`DELETE FROM likes WHERE item_id = $1 AND user_id = 'u2'`, i)
			r.exec(`UPDATE item_counts SET count = count - 1 WHERE item_id = $1`, i)
		}, []string{CauseLedgerLost + ": %s u2 no row→liked true"}, 5},
		{"an unlike is lost in the set", func(i string) {
			r.exec(`UPDATE likes SET liked = false, prev_liked = true WHERE item_id = $1 AND user_id = 'u3'`, i)
			r.exec(`UPDATE item_counts SET count = count - 1 WHERE item_id = $1`, i)
		}, []string{CauseUnlikeLost + ": %s u3 liked→not liked true", CauseSetCount + ": %s  5→4 true"}, 4},
		{
			"the count in redis is wrong", func(i string) { ok(t, r.rdb.HSet(t.Context(), key(i, "counts"), i, 999).Err()) },
			[]string{CauseSetCount + ": %s  999→5 true"},
			5,
		},
		{
			"the count in redis is no number", func(i string) { ok(t, r.rdb.HSet(t.Context(), key(i, "counts"), i, "x").Err()) },
			[]string{CauseSetCount + ": %s  x→5 true"},
			5,
		},
		{
			"the count in the ledger is wrong", func(i string) { r.exec(`UPDATE item_counts SET count = 7 WHERE item_id = $1`, i) },
			[]string{CauseLedgerCount + ": %s  7→5 true"},
			5,
		},
		{
			"the count in the ledger is gone", func(i string) { r.exec(`DELETE FROM item_counts WHERE item_id = $1`, i) },
			[]string{CauseLedgerCount + ": %s  0→5 true"},
			5,
		},
		{
			"a stranger in the set", func(i string) { ok(t, r.rdb.SAdd(t.Context(), likers(i), "stranger").Err()) },
			[]string{CauseLedgerLost + ": %s stranger no row→liked true", CauseSetCount + ": %s  5→6 true"},
			6,
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			item := fmt.Sprintf("item-%d", rand.Uint64())
			r.like(item, 5)
			r.drain()
			row.damage(item)
			for i := range row.want {
				row.want[i] = fmt.Sprintf(row.want[i], item)
			}
			expect(t, r.once(false), row.want...)
			r.agree(item, row.count)
			expect(t, r.once(false))
		})
	}
}

func TestAKeyOfAnotherTypeMakesTheItemColdAndLosesNothing(t *testing.T) {
	r := newRig(t)
	r.like("post", 3)
	r.drain()
	ok(t, r.rdb.Set(t.Context(), likers("post"), "stray", 0).Err())
	expect(t, r.once(false), CauseSetBroken+": post  unreadable→loaded again when it is asked for true")
	r.like("post", 3)
	r.agree("post", 3)
	expect(t, r.once(false))
}

func TestALargeItemIsComparedPageByPage(t *testing.T) {
	r := newRig(t)
	r.like("big", 5_000)
	r.drain()
	ok(t, r.rdb.SRem(t.Context(), likers("big"), "u17", "u4999").Err())
	r.exec(`DELETE FROM likes WHERE item_id = 'big' AND user_id = 'u23'`)
	expect(t, r.once(false),
		CauseSetLost+": big u17 not liked→liked true", CauseSetLost+": big u4999 not liked→liked true",
		CauseLedgerLost+": big u23 no row→liked true", CauseLedgerCount+": big  5000→4999 true")
	r.agree("big", 5_000)
	expect(t, r.once(false))
}

func TestADryRunReportsAndTouchesNothing(t *testing.T) {
	r := newRig(t)
	r.like("post", 3)
	r.drain()
	ok(t, r.rdb.SRem(t.Context(), likers("post"), "u1").Err())
	r.exec(`UPDATE item_counts SET count = 9 WHERE item_id = 'post'`)
	want := []string{CauseSetLost + ": post u1 not liked→liked false", CauseLedgerCount + ": post  9→3 false"}
	expect(t, r.once(true), want...)
	expect(t, r.once(true), want...)
	var noted int
	ok(t, r.pool.QueryRow(t.Context(), `SELECT count(*) FROM repairs`).Scan(&noted))
	if noted != 0 {
		t.Errorf("a dry run noted %d repairs", noted)
	}
}

func TestRepairsAreKept(t *testing.T) {
	r := newRig(t)
	r.like("post", 3)
	r.drain()
	ok(t, r.rdb.SRem(t.Context(), likers("post"), "u1").Err())
	rep := r.once(false)
	var got string
	ok(t, r.pool.QueryRow(t.Context(), `
		SELECT concat_ws('|', run, shard, item_id, user_id, side, before, after, cause, repaired) FROM repairs`).Scan(&got))
	want := fmt.Sprintf("%s|%d|post|u1|counter|not liked|liked|%s|t", rep.Run, counter.ShardOf("post", shards), CauseSetLost)
	if got != want {
		t.Errorf("kept %s, want %s", got, want)
	}
}

func TestWithoutAWorkerNothingIsComparedAndTheReasonIsSaid(t *testing.T) {
	r := newRig(t)
	r.like("post", 1) // stays in the log
	rep, err := r.reconciler(Options{Settle: 50 * time.Millisecond}).Once(t.Context(), false)
	if !errors.Is(err, ErrLag) || len(rep.Skipped) != 1 || len(rep.Drifts) != 0 {
		t.Errorf("err %v, skipped %v, drifts %v", err, rep.Skipped, rep.Drifts)
	}
}

func TestAShardThatAnotherReconcilerHasIsLeftToIt(t *testing.T) {
	r := newRig(t)
	r.like("post", 1)
	r.drain()
	turn, err := r.ledger.Turn(t.Context())
	ok(t, err)
	taken, err := turn.Take(t.Context(), counter.ShardOf("post", shards))
	ok(t, err)
	if !taken {
		t.Fatal("the lock is not free")
	}
	ok(t, r.rdb.SRem(t.Context(), likers("post"), "u0").Err())
	rep, err := r.reconciler(Options{Settle: 100 * time.Millisecond}).Once(t.Context(), false)
	ok(t, err)
	expect(t, rep)
	if len(rep.Skipped) != 1 || !errors.Is(rep.Skipped[0].err, ErrTaken) {
		t.Errorf("skipped: %v", rep.Skipped)
	}
	time.AfterFunc(200*time.Millisecond, func() { turn.Close(context.Background()) })
	expect(t, r.once(false), CauseSetLost+": post u0 not liked→liked true") // waits for its turn
}

// Both ways in which a write of the reconciler can fail, at ever later moments:
// what is repaired in the end is what was damaged, each once.
func TestARepairWhoseReplyIsLostIsNotMadeTwice(t *testing.T) {
	r := newRig(t)
	proxy := privatetest.NewProxy(t, r.rdb.Options().Addr)
	rdb := redis.NewClient(&redis.Options{Addr: proxy.Addr(), MaxRetries: -1, ReadTimeout: 50 * time.Millisecond, DialTimeout: 50 * time.Millisecond})
	t.Cleanup(func() { _ = rdb.Close() })
	rec := New(counter.NewLog(rdb, shards), r.ledger, Options{Settle: 100 * time.Millisecond})
	for i := range 12 {
		item := fmt.Sprintf("item-%d", i)
		r.like(item, 5)
		r.drain()
		ok(t, r.rdb.SRem(t.Context(), likers(item), "u1", "u2").Err())
		ok(t, r.rdb.HSet(t.Context(), key(item, "counts"), item, 77).Err())
		r.exec(`DELETE FROM likes WHERE item_id = $1 AND user_id = 'u3'`, item)
		fired := make(chan struct{})
		cut := time.AfterFunc(time.Duration(i)*4*time.Millisecond, func() {
			defer close(fired)
			if i%2 == 0 {
				proxy.DropReplies(true)
			} else {
				proxy.Cut(true)
			}
		})
		_, _ = rec.Once(t.Context(), false) // fails somewhere, or is faster
		if !cut.Stop() {
			<-fired
		}
		proxy.DropReplies(false)
		proxy.Cut(false)
		r.drain()
		r.once(false)
		r.agree(item, 5)
		expect(t, r.once(false))
	}
}

func TestAPinThatIsGoneEndsTheWork(t *testing.T) {
	r := newRig(t)
	r.like("post", 1)
	r.drain()
	shard := counter.ShardOf("post", shards)
	pin, err := r.log.Pin(t.Context(), shard, []string{"post"})
	ok(t, err)
	ok(t, r.rdb.Del(t.Context(), key("post", "pin")).Err())
	ok(t, r.rdb.SRem(t.Context(), likers("post"), "u0").Err())
	_, err = pin.Mend(t.Context(), counter.AddUser, counter.Pair{Item: "post", User: "u0"})
	if !errors.Is(err, counter.ErrUnpinned) {
		t.Errorf("mend without a pin: %v", err)
	}
	if err := pin.Keep(t.Context()); !errors.Is(err, counter.ErrUnpinned) {
		t.Errorf("keep without a pin: %v", err)
	}
}

func TestAPairThatTrafficHasChangedSinceThePinIsNotMended(t *testing.T) {
	r := newRig(t)
	r.like("post", 2)
	r.drain()
	pin, err := r.log.Pin(t.Context(), counter.ShardOf("post", shards), []string{"post"})
	ok(t, err)
	res := make([]like.Result, 1)
	ok(t, r.counter.Apply(t.Context(), []like.Op{{Item: "post", User: "u0", Want: like.NotLiked}}, res))
	ok(t, res[0].Err)
	mended, err := pin.Mend(t.Context(), counter.AddUser, counter.Pair{Item: "post", User: "u0"})
	ok(t, err)
	if mended.Done {
		t.Error("an unlike was taken for a loss")
	}
	r.drain() // trims no further than the pin
	named, err := pin.Named(t.Context(), []counter.Pair{{Item: "post", User: "u0"}, {Item: "post", User: "u1"}})
	ok(t, err)
	if !named[0] || named[1] {
		t.Errorf("named: %v", named)
	}
	ok(t, pin.Release(t.Context()))
	r.agree("post", 1)
}

func TestUnderFullLoadACorrectSystemShowsNoDriftAndDamageIsFound(t *testing.T) {
	r := newRig(t)
	r.draining()
	stop := make(chan struct{})
	var load sync.WaitGroup
	halt := sync.OnceFunc(func() { close(stop); load.Wait() })
	defer halt()
	var applied atomic.Int64
	// As much as the drain of a slow machine can follow: a log that grows without
	// end is another test's matter.
	pace := rate.NewLimiter(10_000, 400)
	for c := range 8 {
		load.Go(func() {
			rnd := rand.New(rand.NewPCG(1, uint64(c)))
			ops, res := make([]like.Op, 50), make([]like.Result, 50)
			for {
				select {
				case <-stop:
					return
				default:
				}
				for i := range ops {
					ops[i] = like.Op{Item: fmt.Sprintf("i%d", rnd.IntN(40)), User: fmt.Sprintf("u%d", rnd.IntN(400)), Want: like.Want(rnd.IntN(2))}
				}
				ok(t, pace.WaitN(context.Background(), len(ops)))
				if err := r.counter.Apply(context.Background(), ops, res); err != nil {
					t.Error(err)
				}
				for _, x := range res {
					if x.Err != nil {
						t.Error(x.Err)
					}
				}
				applied.Add(50)
			}
		})
	}
	rec := r.reconciler(Options{Rate: 10_000_000})
	var pairs int64
	for deadline := time.Now().Add(4 * time.Second); time.Now().Before(deadline); {
		rep, err := rec.Once(t.Context(), false)
		ok(t, err)
		expect(t, rep)
		pairs += rep.Pairs
	}
	// Damage on pairs that the load does not touch is found all the same.
	r.like("quiet", 3)
	for { // until it is drained
		var n int
		ok(t, r.pool.QueryRow(t.Context(), `SELECT count(*) FROM likes WHERE item_id = 'quiet'`).Scan(&n))
		if n == 3 {
			break
		}
	}
	ok(t, r.rdb.SRem(t.Context(), likers("quiet"), "u2").Err())
	rep, err := rec.Once(t.Context(), false)
	ok(t, err)
	expect(t, rep, CauseSetLost+": quiet u2 not liked→liked true")
	halt()
	t.Logf("%d ops applied, %d pairs compared meanwhile", applied.Load(), pairs)
	if pairs == 0 {
		t.Error("nothing was compared")
	}
}

func TestWhatDrainsHaveSeenIsLookedAtFirst(t *testing.T) {
	r := newRig(t)
	for i := range 300 {
		r.like(fmt.Sprintf("old-%d", i), 1)
	}
	r.drain()
	rec := r.reconciler(Options{Full: time.Hour})
	ok(t, rec.round(t.Context())) // everything, so that only what is recent has its turn again
	r.like("recent", 2)
	r.drain()
	for _, item := range []string{"recent", "old-7"} {
		ok(t, r.rdb.SRem(t.Context(), likers(item), "u0").Err())
	}
	ok(t, rec.round(t.Context()))
	var item string
	ok(t, r.pool.QueryRow(t.Context(), `SELECT string_agg(item_id, ',') FROM repairs`).Scan(&item))
	if item != "recent" {
		t.Errorf("repaired %s, want recent alone", item)
	}
}

func TestRunFindsRecentDamageByItselfAndSeveralShareTheWork(t *testing.T) {
	r := newRig(t)
	r.draining()
	r.like("post", 3)
	r.drain()
	ok(t, r.rdb.SRem(t.Context(), likers("post"), "u1").Err())
	ctx, cancel := context.WithCancel(t.Context())
	var runs sync.WaitGroup
	for range 3 {
		runs.Go(func() {
			ok(t, r.reconciler(Options{Every: 20 * time.Millisecond, Full: 50 * time.Millisecond, Rate: 10_000_000}).Run(ctx))
		})
	}
	for deadline := time.Now().Add(5 * time.Second); ; {
		if r.rdb.SCard(t.Context(), likers("post")).Val() == 3 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the damage was not repaired")
		}
		time.Sleep(5 * time.Millisecond)
	}
	cancel()
	runs.Wait()
	var n int
	ok(t, r.pool.QueryRow(t.Context(), `SELECT count(*) FROM repairs`).Scan(&n))
	if n != 1 {
		t.Errorf("%d repairs, want 1", n)
	}
}
