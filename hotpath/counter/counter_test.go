package counter

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"plusone/hotpath/like"
	"plusone/scripts/dev/private/privatetest"
)

func TestALikeTwiceChangesNothingTheSecondTime(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		r := newRig(t, addr, Options{})
		first := r.do("post", "ann", like.Liked)
		equal(t, "first changed", first.Changed, true)
		equal(t, "first count", first.Count, 1)
		equal(t, "first has a receipt", first.Receipt.IsZero(), false)
		second := r.do("post", "ann", like.Liked)
		equal(t, "second", second, like.Result{Liked: true, Count: 1})
		equal(t, "unlike of a stranger", r.do("post", "bob", like.NotLiked), like.Result{Count: 1})
		r.checkItem("post", 1)
	})
}

func TestTwoTogglesEndWhereTheyBegan(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		r := newRig(t, addr, Options{})
		equal(t, "first", r.do("post", "ann", like.Toggle).Liked, true)
		second := r.do("post", "ann", like.Toggle)
		equal(t, "second", second.Liked || !second.Changed, false)
		r.checkItem("post", 0)
	})
}

func TestReadsTellTheCountAndWhoLikesIt(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		r := newRig(t, addr, Options{})
		r.do("a", "ann", like.Liked)
		r.do("b", "bob", like.Liked)
		got, err := r.Read(t.Context(), []string{"b", "a", "never", "a"}, "ann")
		ok(t, err)
		for i, want := range []like.Reading{{Item: "b", Count: 1}, {Item: "a", Count: 1, Liked: true}, {Item: "never"}, {Item: "a", Count: 1, Liked: true}} {
			equal(t, "item", got[i].Item, want.Item)
			equal(t, "count of "+want.Item, got[i].Count, want.Count)
			equal(t, "liked "+want.Item, got[i].Liked, want.Liked)
		}
		equal(t, "source of a", got[1].Source, like.FromRedis)
		equal(t, "source of never", got[2].Source, like.FromLedger)
	})
}

func TestManyClientsAtOnceCountEveryLikeOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		r := newRig(t, addr, Options{})
		const clients, rounds = 32, 60
		model := make([]map[string]bool, clients) // every client has users of its own
		var wg sync.WaitGroup
		for c := range clients {
			model[c] = map[string]bool{}
			wg.Go(func() {
				rnd := rand.New(rand.NewPCG(7, uint64(c)))
				for range rounds {
					item, user := fmt.Sprintf("i%d", rnd.IntN(3)), fmt.Sprintf("u%d-%d", c, rnd.IntN(4))
					want := like.Want(rnd.IntN(3))
					before := model[c][item+" "+user]
					res := r.try(item, user, want)
					after := want == like.Liked || want == like.Toggle && !before
					if res.Err != nil || res.Liked != after || res.Changed != (before != after) {
						t.Errorf("%s %s %d: got %+v, was %v", item, user, want, res, before)
					}
					model[c][item+" "+user] = after
				}
			})
		}
		wg.Wait()
		counts := map[string]int64{}
		for _, m := range model {
			for pair, liked := range m {
				if item, _, _ := strings.Cut(pair, " "); liked {
					counts[item]++
				}
			}
		}
		for item, n := range counts {
			r.checkItem(item, n)
		}
		r.book.drain(t, r.log)
		for item, n := range counts {
			equal(t, "in the book "+item, int64(len(r.book.likers[item])), n)
		}
	})
}

func TestAColdItemIsLoadedBeforeItsFirstOp(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		r := newRig(t, addr, Options{})
		for i := range 2_500 {
			r.book.set("old", fmt.Sprintf("u%d", i), true)
		}
		equal(t, "a like that the ledger knows", r.do("old", "u7", like.Liked), like.Result{Liked: true, Count: 2_500})
		equal(t, "a new one", r.do("old", "new", like.Liked).Count, 2_501)
		r.checkItem("old", 2_501)
		temporary, err := r.rdb.Keys(t.Context(), "p1:*:loaded:*").Result()
		ok(t, err)
		equal(t, "temporary keys", len(temporary), 0)
		k := keysOf(ShardOf("old", 4))
		equal(t, "the set has no end", r.rdb.TTL(t.Context(), k.likers+"old").Val(), -1*time.Nanosecond)
	})
}

func TestAReadOfAColdItemIsAnsweredByTheLedgerAndWarmsIt(t *testing.T) {
	r := realRig(t, Options{})
	r.do("warm", "x", like.Liked) // opens nothing but its own shard
	r.book.set("old", "ann", true)
	got := r.read("old", "ann")
	equal(t, "source", got.Source, like.FromLedger)
	equal(t, "count", got.Count, 1)
	equal(t, "liked", got.Liked, true)
	eventually(t, "redis answers", func() bool { return r.read("old", "ann").Source == like.FromRedis })
	equal(t, "still liked", r.read("old", "ann").Liked, true)
}

func TestTenThousandColdItemsCostAFewQueries(t *testing.T) {
	r := realRig(t, Options{})
	const n = 10_000
	items := make([]string, n)
	for i := range items {
		items[i] = fmt.Sprintf("item-%d", i)
		r.book.set(items[i], "ann", true)
	}
	r.do("first", "x", like.Liked)
	before := r.book.asked()
	ops, res := make([]like.Op, n), make([]like.Result, n)
	for i := range ops {
		ops[i] = like.Op{Item: items[i], User: "ann", Want: like.Liked}
	}
	ok(t, r.Apply(t.Context(), ops, res))
	for i := range res {
		equal(t, "op "+items[i], res[i], like.Result{Liked: true, Count: 1})
	}
	if used := r.book.asked() - before; used > 100 { // how many errands come at once depends on how busy the machine is
		t.Errorf("%d queries for %d cold items", used, n)
	}
}

func TestTwoCountersLoadOneColdItemOnce(t *testing.T) {
	r := realRig(t, Options{})
	other := start(t, r.rdb.Options().Addr, r.book, Options{Shards: 4})
	for i := range 500 {
		r.book.set("old", fmt.Sprintf("u%d", i), true)
	}
	var wg sync.WaitGroup
	for i, c := range []*Counter{r.Counter, other, r.Counter, other} {
		wg.Go(func() {
			res := make([]like.Result, 1)
			ok(t, c.Apply(t.Context(), []like.Op{{Item: "old", User: fmt.Sprintf("new%d", i), Want: like.Liked}}, res))
			ok(t, res[0].Err)
		})
	}
	wg.Wait()
	r.checkItem("old", 504)
}

func TestAColdItemWithoutALedgerIsRefusedAndWarmOnesGoOn(t *testing.T) {
	r := realRig(t, Options{LoadTime: time.Second})
	r.do("warm", "ann", like.Liked)
	r.book.fail(errors.New("the ledger is away"))
	res := r.try("cold", "ann", like.Liked)
	equal(t, "cold is unavailable", errors.Is(res.Err, like.ErrUnavailable), true)
	equal(t, "warm", r.do("warm", "bob", like.Liked).Count, 2)
	r.book.fail(nil)
	eventually(t, "cold comes back", func() bool { return r.try("cold", "ann", like.Liked).Err == nil })
}

func TestAfterFlushallItemsComeBackAndIdsGoOnAboveTheWatermark(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		r := newRig(t, addr, Options{})
		for _, u := range []string{"ann", "bob", "cid"} {
			r.do("post", u, like.Liked)
		}
		r.book.drain(t, r.log)
		shard := ShardOf("post", 4)
		r.book.floor[shard] = r.book.watermark[shard] + 1<<40 // about 17 minutes ahead
		ok(t, r.rdb.FlushAll(t.Context()).Err())

		equal(t, "known like", r.do("post", "ann", like.Liked), like.Result{Liked: true, Count: 3})
		res := r.do("post", "dan", like.Liked)
		equal(t, "count", res.Count, 4)
		if res.Receipt.Version <= r.book.floor[shard] {
			t.Errorf("version %s is not above the floor %s", res.Receipt.Version, r.book.floor[shard])
		}
		r.checkItem("post", 4)
	})
}

func TestAShardOpensOnlyWhenItsLogIsDrained(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		rang := make(chan int, 1000)
		r := newRig(t, addr, Options{Changed: func(s int) { rang <- s }})
		r.do("post", "ann", like.Liked)
		ok(t, r.rdb.Del(t.Context(), keysOf(ShardOf("post", 4)).meta).Err())
		for len(rang) > 0 {
			<-rang
		}
		answered := make(chan like.Result, 1)
		go func() { answered <- r.try("post", "bob", like.Liked) }()
		<-rang // the counter asks for a drain
		select {
		case res := <-answered:
			t.Fatalf("answered before the drain: %+v", res)
		default:
		}
		r.book.drain(t, r.log)
		res := <-answered
		ok(t, res.Err)
		equal(t, "count", res.Count, 2)
		r.checkItem("post", 2)
	})
}

func TestAStaleReplicaIsClosedAndReopenedBeforeItsFirstOp(t *testing.T) {
	server := privatetest.Redis(t)
	r := newRig(t, address(t, server.URL()), Options{})
	for i := range 20 {
		r.do(fmt.Sprintf("i%d", i), "ann", like.Liked)
	}
	r.book.drain(t, r.log)
	r.do("i1", "lost", like.Liked) // reaches the ledger, then the failover loses it
	stale := r.rdb.ConfigSet(t.Context(), "appendonly", "no").Err()
	ok(t, stale)
	shard := ShardOf("i1", 4)
	r.book.drain(t, r.log)
	k := keysOf(shard)
	// What a replica that was a moment behind would hold.
	ok(t, r.rdb.SRem(t.Context(), k.likers+"i1", "lost").Err())
	ok(t, r.rdb.HIncrBy(t.Context(), k.counts, "i1", -1).Err())
	ok(t, r.rdb.Del(t.Context(), k.log).Err())
	ok(t, r.rdb.XAdd(t.Context(), &redis.XAddArgs{Stream: k.log, ID: "1-1", Values: []string{"m", "old"}}).Err())
	ok(t, r.rdb.ConfigSet(t.Context(), "appendonly", "yes").Err())
	eventually(t, "aof is rewritten", func() bool {
		return strings.Contains(r.rdb.Info(t.Context(), "persistence").Val(), "aof_rewrite_in_progress:0\r\n") &&
			strings.Contains(r.rdb.Info(t.Context(), "persistence").Val(), "aof_last_bgrewrite_status:ok") &&
			strings.Contains(r.rdb.Info(t.Context(), "persistence").Val(), "aof_rewrite_scheduled:0")
	})
	ok(t, server.Restart(t.Context()))

	eventually(t, "the server is back", func() bool { return r.try("i1", "ann", like.Liked).Err == nil })
	equal(t, "what the ledger knows is there", r.do("i1", "lost", like.Liked), like.Result{Liked: true, Count: 2})
	res := r.do("i1", "new", like.Liked)
	if res.Receipt.Version <= r.book.watermark[shard] {
		t.Errorf("version %s is not above the watermark %s", res.Receipt.Version, r.book.watermark[shard])
	}
}

func TestALostReplyIsUnknownAndRepeatingItIsSafe(t *testing.T) {
	server := privatetest.Redis(t)
	proxy := privatetest.NewProxy(t, address(t, server.URL()))
	direct := newRig(t, address(t, server.URL()), Options{})
	r := &rig{t: t, rdb: direct.rdb, log: direct.log, book: direct.book}
	r.Counter = start(t, proxy.Addr(), direct.book, Options{Shards: 4, Timeout: 200 * time.Millisecond})
	r.do("post", "ann", like.Liked)

	proxy.DropReplies(true)
	res := r.try("post", "bob", like.Liked)
	equal(t, "unknown", errors.Is(res.Err, like.ErrUnknown), true)
	proxy.DropReplies(false)
	eventually(t, "the connection is back", func() bool { return r.try("post", "ann", like.Liked).Err == nil })
	equal(t, "it was applied, once", r.do("post", "bob", like.Liked), like.Result{Liked: true, Count: 2})
	r.checkItem("post", 2)

	proxy.Cut(true)
	res = r.try("post", "cid", like.Liked)
	equal(t, "refused", res.Err != nil, true)
	proxy.Cut(false)
	eventually(t, "the connection is back", func() bool { return r.try("post", "ann", like.Liked).Err == nil })
	equal(t, "cid", r.do("post", "cid", like.Liked).Count, 3)
}

func TestAServerThatIsAwayAppliesNothingAndSaysSo(t *testing.T) {
	server := privatetest.Redis(t)
	r := newRig(t, address(t, server.URL()), Options{Timeout: 300 * time.Millisecond})
	r.do("post", "ann", like.Liked)
	server.Kill()
	eventually(t, "a dial that fails is not unknown", func() bool {
		err := r.try("post", "bob", like.Liked).Err
		return errors.Is(err, like.ErrUnavailable) && !errors.Is(err, like.ErrUnknown)
	})
	ok(t, server.Restart(t.Context()))
	eventually(t, "it is back", func() bool { return r.try("post", "ann", like.Liked).Err == nil })
	equal(t, "ann was kept, bob was not applied", r.do("post", "cid", like.Liked).Count, 2)
}

func TestAFullQueueRefusesAtOnce(t *testing.T) {
	r := realRig(t, Options{QueueSize: 8})
	ops := make([]like.Op, 9)
	for i := range ops {
		ops[i] = like.Op{Item: "post", User: fmt.Sprintf("u%d", i), Want: like.Liked}
	}
	res := make([]like.Result, len(ops))
	ok(t, r.Apply(t.Context(), ops, res))
	for i := range res {
		equal(t, "busy", errors.Is(res[i].Err, like.ErrBusy), true)
	}
	equal(t, "nothing was applied", r.read("post", "").Count, 0)
}

func TestAFullLogRefusesUntilItIsDrained(t *testing.T) {
	r := realRig(t, Options{MaxPending: 3})
	var err error
	for i := 0; err == nil && i < 10; i++ {
		err = r.try("post", fmt.Sprintf("u%d", i), like.Liked).Err
	}
	equal(t, "busy", errors.Is(err, like.ErrBusy), true)
	r.book.drain(t, r.log)
	equal(t, "count", r.do("post", "later", like.Liked).Count, int64(len(r.book.likers["post"]))+1)
}

func TestACallerWhoLeavesIsToldTheTruth(t *testing.T) {
	r := realRig(t, Options{})
	k := keysOf(ShardOf("post", 4))
	told := map[string]error{}
	for i := range 600 {
		user := fmt.Sprintf("u%d", i)
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%60)*10*time.Microsecond)
		res := make([]like.Result, 1)
		_ = r.Apply(ctx, []like.Op{{Item: "post", User: user, Want: like.Liked}}, res)
		cancel()
		told[user] = res[0].Err
	}
	r.do("post", "last", like.Liked) // the queue is done with all before
	kinds := map[string]int{}
	for user, err := range told {
		applied := r.rdb.SIsMember(t.Context(), k.likers+"post", user).Val()
		switch {
		case err == nil:
			kinds["applied"]++
			equal(t, user+" was told that it is applied", applied, true)
		case errors.Is(err, like.ErrUnknown):
			kinds["unknown"]++
		default:
			kinds["not applied"]++
			equal(t, user+" was told that it is not applied", applied, false)
		}
	}
	t.Log(kinds)
	if len(kinds) < 2 {
		t.Error("all callers were told the same")
	}
}

func TestAThousandOpsInOneCallAreEachCountedOnce(t *testing.T) {
	r := realRig(t, Options{})
	ops, res := make([]like.Op, 1000), make([]like.Result, 1000)
	for i := range ops {
		ops[i] = like.Op{Item: "post", User: fmt.Sprintf("u%d", i), Want: like.Liked}
	}
	ok(t, r.Apply(t.Context(), ops, res))
	seen := map[int64]bool{}
	for i := range res {
		ok(t, res[i].Err)
		seen[res[i].Count] = true
	}
	equal(t, "different counts", len(seen), 1000)
	r.checkItem("post", 1000)
}

func TestOpsOnOnePairInOneCallKeepTheirOrder(t *testing.T) {
	r := realRig(t, Options{})
	for round := range 20 { // cold items at first, so that ops take detours
		ops, res := make([]like.Op, 900), make([]like.Result, 900)
		for i := range ops {
			ops[i] = like.Op{Item: fmt.Sprintf("post-%d-%d", round, i%30), User: "ann", Want: like.Want(i / 30 % 2)}
		}
		ok(t, r.Apply(t.Context(), ops, res))
		for i := range res {
			ok(t, res[i].Err)
			equal(t, fmt.Sprintf("op %d liked", i), res[i].Liked, ops[i].Want == like.Liked)
			equal(t, fmt.Sprintf("op %d changed", i), res[i].Changed, i >= 30)
		}
	}
}

// A proxy that drops replies stands between the counter and Redis while each of
// its writes beside the like script runs: opening, leasing, loading, installing.
func TestLostRepliesOfALoadDelayItAndNothingElse(t *testing.T) {
	server := privatetest.Redis(t)
	addr := address(t, server.URL())
	proxy := privatetest.NewProxy(t, addr)
	b := newBook()
	for i := range 40 {
		for u := range 3 {
			b.set(fmt.Sprintf("old-%d", i), fmt.Sprintf("u%d", u), true)
		}
	}
	r := newRig(t, addr, Options{})
	r.book = b
	r.Counter = start(t, proxy.Addr(), b, Options{Shards: 4, Timeout: 100 * time.Millisecond})
	for i := range 40 {
		item := fmt.Sprintf("old-%d", i)
		var mu sync.Mutex
		over := false
		time.AfterFunc(time.Duration(i)*50*time.Microsecond, func() { // at another step each time
			mu.Lock()
			defer mu.Unlock()
			proxy.DropReplies(!over)
		})
		ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
		_ = r.Apply(ctx, []like.Op{{Item: item, User: "new", Want: like.Liked}}, make([]like.Result, 1))
		cancel()
		mu.Lock()
		over = true
		mu.Unlock()
		proxy.DropReplies(false)
		eventually(t, "the like is in", func() bool { return r.try(item, "new", like.Liked).Err == nil })
		equal(t, "count", r.do(item, "new", like.Liked), like.Result{Liked: true, Count: 4})
	}
	for i := range 40 {
		r.checkItem(fmt.Sprintf("old-%d", i), 4)
	}
}
