package counter

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"plusone/hotpath/like"
	"plusone/scripts/dev/private/privatetest"
)

// partRig has an item "big" with likers u0…u(n-1), of which 10 may be resident.
func partRig(t *testing.T, addr string, n int) *rig {
	t.Helper()
	r := newRig(t, addr, Options{ResidentSetMax: 10})
	for i := range n {
		r.book.set("big", fmt.Sprintf("u%d", i), true)
	}
	return r
}

func (r *rig) members(item string) []string {
	r.t.Helper()
	k := keysOf(ShardOf(item, r.log.Shards()))
	members, err := r.rdb.SMembers(r.t.Context(), k.likers+item).Result()
	ok(r.t, err)
	return sorted(members)
}

func TestALargeItemIsLoadedPartlyAndAnswersForEverybody(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		r := partRig(t, addr, 30)
		equal(t, "an old like again", r.do("big", "u3", like.Liked), like.Result{Liked: true, Count: 30})
		got := r.do("big", "new", like.Liked)
		equal(t, "a new like changes", got.Changed, true)
		equal(t, "its count", got.Count, 31)
		equal(t, "an unlike of an old like", r.do("big", "u4", like.NotLiked).Count, 30)
		equal(t, "an unlike of nobody's", r.do("big", "stranger", like.NotLiked), like.Result{Count: 30})
		equal(t, "a toggle", r.do("big", "u5", like.Toggle).Liked, false)
		same(t, "known", r.members("big"), []string{"%", "%stranger", "%u4", "%u5", "new", "u3"}, func(a, b []string) bool { return fmt.Sprint(a) == fmt.Sprint(b) })

		reading := r.read("big", "u6")
		equal(t, "liked by one who was not known", reading.Liked, true)
		equal(t, "count", reading.Count, 29)
		equal(t, "the count's source", reading.Source, like.FromRedis)
		eventually(t, "the answer is remembered", func() bool { return len(r.members("big")) == 7 })
		queries := r.book.asked()
		equal(t, "liked by one who is known not to", r.read("big", "u4").Liked, false)
		equal(t, "and by one who is known", r.read("big", "u6").Liked, true)
		equal(t, "questions to the ledger", r.book.asked(), queries)

		r.book.drain(t, r.log)
		equal(t, "likes in the ledger", r.book.size("big"), 29)
	})
}

func TestAnItemThatAnOlderPlusoneMadePartlyResidentIsStillOne(t *testing.T) {
	r := partRig(t, address(t, privatetest.Redis(t).URL()), 30)
	k := keysOf(ShardOf("big", 4))
	r.do("big", "u0", like.Liked)
	marks := func() string { return fmt.Sprint(r.rdb.HMGet(t.Context(), k.meta, "forgot", "marked").Val()) }
	equal(t, "forgot and marked", marks(), "[1 1]")
	// It knows of no set that names such items.
	commands(t, r.rdb, "DEL "+k.partly, "HINCRBY "+k.meta+" forgot 1")
	equal(t, "an old like again", r.do("big", "u3", like.Liked), like.Result{Liked: true, Count: 30})

	r.book.drain(t, r.log)
	// Opened anew, the shard's items are named again.
	commands(t, r.rdb, "HDEL "+k.meta+" shards", "SADD "+k.partly+" old")
	equal(t, "another old like", r.do("big", "u4", like.Liked), like.Result{Liked: true, Count: 30})
	equal(t, "forgot and marked", marks(), "[3 3]")
	equal(t, "named", fmt.Sprint(r.rdb.SMembers(t.Context(), k.partly).Val()), "[big]")
}

func TestALookUpThatSomethingWasForgottenAfterIsNotRemembered(t *testing.T) {
	addr := address(t, privatetest.Redis(t).URL())
	r := partRig(t, addr, 30)
	r.do("big", "u0", like.Liked)
	other := start(t, addr, r.book, Options{Shards: 4, ResidentSetMax: 10})

	// While the first look-up of ann is under way, she likes the item through
	// another process, which is drained and forgotten.
	var once sync.Once
	r.book.answer(func() {
		once.Do(func() {
			r.book.answer(nil)
			res := make([]like.Result, 1)
			ok(t, errors.Join(other.Apply(t.Context(), []like.Op{{Item: "big", User: "ann", Want: like.Liked}}, res), res[0].Err))
			r.book.drain(t, r.log)
			_, err := r.log.Shrink(t.Context(), ShardOf("big", 4), "big", 1, 1)
			ok(t, err)
		})
	})
	equal(t, "her unlike", r.do("big", "ann", like.NotLiked).Changed, true)
	equal(t, "count", r.read("big", "").Count, 30)
}

func TestAnItemForgetsNobodyWhomTheLedgerMayNotHave(t *testing.T) {
	r := realRig(t, Options{ResidentSetMax: 1000})
	for i := range 50 {
		r.do("post", fmt.Sprintf("u%d", i), like.Liked)
	}
	r.book.drain(t, r.log)
	r.do("post", "u7", like.NotLiked) // in the log only
	r.do("post", "late", like.Liked)
	shard := ShardOf("post", 4)
	_, err := r.log.Shrink(t.Context(), shard, "post", 1, 1)
	ok(t, err)
	same(t, "kept", r.members("post"), []string{"%", "%u7", "late"}, func(a, b []string) bool { return fmt.Sprint(a) == fmt.Sprint(b) })
	equal(t, "the unlike again", r.do("post", "u7", like.NotLiked), like.Result{Count: 50})
	r.book.drain(t, r.log)
	forgot, err := r.log.Shrink(t.Context(), shard, "post", 1, 1)
	ok(t, err)
	equal(t, "forgotten after the drain", forgot, 2)
	equal(t, "and now", r.do("post", "u7", like.NotLiked), like.Result{Count: 50})
}

// Clients know what their pairs must be; meanwhile items are drained, shrunk and
// evicted all the time.
func TestNoAnswerIsWrongWhileLargeItemsForgetAndGoCold(t *testing.T) {
	r := realRig(t, Options{Shards: 4, ResidentSetMax: 20})
	const items, clients, rounds = 5, 4, 60
	stop, upset := make(chan struct{}), sync.WaitGroup{}
	var forgot int64
	upset.Go(func() {
		rnd := rand.New(rand.NewPCG(1, 2))
		for {
			select {
			case <-stop:
				return
			default:
			}
			item := fmt.Sprintf("item-%d", rnd.IntN(items))
			switch rnd.IntN(4) {
			case 0:
				r.book.drain(t, r.log)
			case 1:
				_, err := r.log.Evict(t.Context(), ShardOf(item, 4), []string{item})
				ok(t, err)
			default:
				n, err := r.log.Shrink(t.Context(), ShardOf(item, 4), item, int64(rnd.IntN(20)), int64(rnd.IntN(20)))
				ok(t, err)
				forgot += n
			}
		}
	})
	var wg sync.WaitGroup
	liked := make([]map[Pair]bool, clients)
	for c := range clients {
		liked[c] = map[Pair]bool{}
		wg.Go(func() { r.play(c, items, rounds, liked[c]) })
	}
	wg.Wait()
	close(stop)
	upset.Wait()
	r.book.drain(t, r.log)
	want := map[string]int{}
	for _, m := range liked {
		for pair, is := range m {
			if is {
				want[pair.Item]++
			}
		}
	}
	for item, n := range want {
		equal(t, "count of "+item, int(r.read(item, "").Count), n)
		equal(t, "likes of "+item+" in the ledger", r.book.size(item), n)
	}
	if forgot == 0 {
		t.Error("nothing was forgotten")
	}
}

// play makes rounds of ops and reads, and checks every answer.
func (r *rig) play(client, items, rounds int, liked map[Pair]bool) {
	rnd := rand.New(rand.NewPCG(7, uint64(client)))
	for range rounds {
		ops, res := make([]like.Op, 40), make([]like.Result, 40)
		for i := range ops {
			ops[i] = like.Op{
				Item: fmt.Sprintf("item-%d", rnd.IntN(items)), User: fmt.Sprintf("user-%d-%d", client, rnd.IntN(40)),
				Want: like.Want(rnd.IntN(3)),
			}
		}
		if err := r.Apply(r.t.Context(), ops, res); err != nil {
			r.t.Error(err)
			return
		}
		for i, op := range ops {
			pair := Pair{op.Item, op.User}
			want := op.Want == like.Liked || op.Want == like.Toggle && !liked[pair]
			if res[i].Err != nil || res[i].Liked != want || res[i].Changed != (liked[pair] != want) {
				r.t.Errorf("%+v, liked before: %v: %+v", op, liked[pair], res[i])
			}
			liked[pair] = want
		}
		op := ops[rnd.IntN(len(ops))]
		got, err := r.Read(r.t.Context(), []string{op.Item}, op.User)
		if err != nil || got[0].Liked != liked[Pair{op.Item, op.User}] {
			r.t.Errorf("%+v reads as %+v, %v", op, got, err)
		}
	}
}

func TestWarmItemsDoNotNoticeASlowLedger(t *testing.T) {
	r := realRig(t, Options{})
	r.book.set("cold", "x", true)
	for i := range 20 {
		r.do(fmt.Sprintf("warm-%d", i), "x", like.Liked)
	}
	release := make(chan struct{})
	r.book.answer(func() { <-release })
	var cold sync.WaitGroup
	cold.Go(func() { _ = r.try("cold", "y", like.Liked) })
	eventually(t, "the ledger is asked", func() bool { return r.warm.queue.len() == 0 })
	var slowest time.Duration
	for i := range 200 {
		start := time.Now()
		r.do(fmt.Sprintf("warm-%d", i%20), fmt.Sprintf("u%d", i), like.Liked)
		slowest = max(slowest, time.Since(start))
	}
	close(release)
	r.book.answer(nil)
	cold.Wait()
	if slowest > time.Second {
		t.Errorf("a like of a warm item took %v", slowest)
	}
}

func TestColdItemsWaitWhileRedisIsFull(t *testing.T) {
	r := realRig(t, Options{MemoryMax: 1 << 20}) // an empty server uses about as much
	r.book.set("cold", "x", true)
	eventually(t, "a like that needs memory is refused", func() bool {
		err := r.try("cold", "y", like.Liked).Err
		if !errors.Is(err, like.ErrUnavailable) && !errors.Is(err, like.ErrUnknown) { // it was with Redis when its time was up
			t.Fatalf("a like that needs memory: %v", err)
		}
		return errors.Is(err, like.ErrUnavailable)
	})
	equal(t, "a read of it", r.read("cold", "x").Liked, true)
}

func TestReadsKeepAnItemFromBeingIdle(t *testing.T) {
	t.Parallel() // Redis counts idle time in seconds
	r := realRig(t, Options{Shards: 1})
	r.do("read", "x", like.Liked)
	r.do("left", "x", like.Liked)
	var uses []Use
	eventually(t, "the item that nobody reads is idle", func() bool {
		r.read("read", "")
		var err error
		uses, err = r.log.Uses(t.Context(), 0, []string{"left", "read"})
		ok(t, err)
		return uses[0].Idle >= 2*time.Second
	})
	if uses[1].Idle >= 2*time.Second {
		t.Errorf("an item that is read all the time is idle for %v", uses[1].Idle)
	}
}
