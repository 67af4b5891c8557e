package counter

import (
	"errors"
	"fmt"
	"maps"
	"strconv"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"plusone/hotpath/like"
)

// freeze does what an operator's act does.
func (r *rig) freeze(item string, frozen bool) {
	r.t.Helper()
	r.book.freeze(item, frozen)
	ok(r.t, r.log.BringFreezes(r.t.Context(), r.book, ShardOf(item, r.log.Shards())))
}

func (r *rig) refuses(item, user string, want like.Want) {
	r.t.Helper()
	if res := r.try(item, user, want); !errors.Is(res.Err, like.ErrFrozen) {
		r.t.Errorf("an op on a frozen item: %+v", res)
	}
}

func TestAFrozenItemTakesNoNewLikesUntilItIsUnfrozen(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		r := newRig(t, addr, Options{})
		r.do("post", "ann", like.Liked)
		r.freeze("post", true)
		r.refuses("post", "bob", like.Liked)
		r.refuses("post", "bob", like.Toggle)
		equal(t, "a like that was there", r.do("post", "ann", like.Liked), like.Result{Liked: true, Count: 1})
		equal(t, "another item", r.do("other", "bob", like.Liked).Changed, true)
		equal(t, "an unlike", r.do("post", "ann", like.NotLiked).Count, 0)
		r.refuses("post", "ann", like.Liked)
		r.freeze("post", false)
		equal(t, "a like", r.do("post", "bob", like.Liked).Count, 1)
		r.checkItem("post", 1)
	})
}

func TestAnOpBehindOneThatAFrozenItemRefusesGoesItsWay(t *testing.T) {
	r := realRig(t, Options{})
	r.freeze("post", true)
	ops := []like.Op{{Item: "post", User: "ann", Want: like.Liked}, {Item: "post", User: "ann", Want: like.NotLiked}}
	results := make([]like.Result, 2)
	ok(t, r.Apply(t.Context(), ops, results))
	if !errors.Is(results[0].Err, like.ErrFrozen) || results[1].Err != nil || results[1].Changed {
		t.Errorf("like and unlike: %+v", results)
	}
}

func TestAFreezeSurvivesWhateverRedisLoses(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		r := newRig(t, addr, Options{Shards: 4})
		r.do("post", "ann", like.Liked)
		r.book.drain(t, r.log)
		before := r.rdb.Dump(t.Context(), keysOf(ShardOf("post", 4)).meta).Val()
		r.freeze("post", true)
		r.refuses("post", "bob", like.Liked)

		ok(t, r.rdb.FlushAll(t.Context()).Err())
		r.refuses("post", "bob", like.Liked)

		// A copy of Redis from before, that nobody has looked at yet.
		k := keysOf(ShardOf("post", 4))
		if before != "" { // miniredis knows no DUMP
			ok(t, r.rdb.RestoreReplace(t.Context(), k.meta, 0, before).Err())
			ok(t, r.Ready(t.Context()))
			r.refuses("post", "bob", like.Liked)
		}

		// Frozen while the shard is closed, and nobody told Redis.
		r.book.drain(t, r.log)
		ok(t, r.rdb.Del(t.Context(), k.meta).Err())
		r.book.freeze("late", true)
		r.book.freeze("post", false)
		shard := ShardOf("late", 4)
		ok(t, r.rdb.Del(t.Context(), keysOf(shard).meta).Err())
		r.refuses("late", "bob", like.Liked)
		equal(t, "unfrozen meanwhile", r.do("post", "bob", like.Liked).Changed, true)
	})
}

func TestAShardDoesNotOpenWhileItLacksAFreeze(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		rdb := redis.NewClient(&redis.Options{Addr: addr})
		t.Cleanup(func() { _ = rdb.Close() })
		k := keysOf(0)
		commands(t, rdb, "FLUSHALL")
		try := func(mark string) string {
			state, err := openScript.run(t.Context(), rdb, []string{k.meta, k.counts, k.log, k.partly, k.votes, k.refs}, 4, "0-0", "0-1", "gen", mark).Text()
			ok(t, err)
			return state
		}
		equal(t, "with a mark that Redis lacks", try("4 7"), "frozen")
		commands(t, rdb, "HSET "+k.meta+" froze 4|6")
		equal(t, "with an older one", try("4|7"), "frozen")
		equal(t, "with the same one", try("4|6"), "opened")
	})
}

func TestAShardOfAnotherLayoutForgetsWhatItKnewOfFrozenItems(t *testing.T) {
	r := realRig(t, Options{Shards: 4})
	b := r.book
	var items []string
	for i := range 40 {
		items = append(items, fmt.Sprintf("i%d", i))
	}
	wide := NewLog(r.rdb, 8)
	for n, item := range items {
		b.freeze(item, true)
		ok(t, wide.BringFreezes(t.Context(), b, ShardOf(item, 8)))
		if n%2 == 0 { // unfrozen in the old layout, of which the new one must not know less
			b.freeze(item, false)
		}
	}
	for shard := range 4 {
		ok(t, r.log.BringFreezes(t.Context(), b, shard))
	}
	for n, item := range items {
		is := r.rdb.HExists(t.Context(), keysOf(ShardOf(item, 4)).meta, "frozen:"+item).Val()
		equal(t, item+" is frozen", is, n%2 == 1)
	}
	frozen := 0
	for shard := range 4 {
		n, _ := strconv.Atoi(r.rdb.HGet(t.Context(), keysOf(shard).meta, "frozen").Val())
		frozen += n
	}
	equal(t, "frozen items", frozen, 20)
}

func TestManyFreezesAreBroughtPageByPageByManyAtOnce(t *testing.T) {
	r := realRig(t, Options{Shards: 1})
	for i := range 3*freezePage + 7 {
		r.book.freeze(fmt.Sprintf("i%d", i), true)
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() { ok(t, r.log.BringFreezes(t.Context(), r.book, 0)) })
	}
	all.Wait()
	meta := r.rdb.HGetAll(t.Context(), keysOf(0).meta).Val()
	equal(t, "frozen", meta["frozen"], strconv.Itoa(3*freezePage+7))
	left, err := r.log.Thawed(t.Context(), map[int]int64{0: r.book.freezes})
	ok(t, err)
	equal(t, "shards that lack some", len(left), 0)
	left, err = r.log.Thawed(t.Context(), map[int]int64{0: r.book.freezes + 1})
	ok(t, err)
	equal(t, "shards that lack one more", len(left), 1)
	maps.DeleteFunc(meta, func(k, _ string) bool { return k == "froze" || k == "frozen" })
	equal(t, "fields", len(meta), 3*freezePage+7)
}

// Whoever likes after the freeze has been brought is refused, under load, too.
func TestNoLikeIsAcceptedAfterTheFreeze(t *testing.T) {
	r := realRig(t, Options{})
	stop, likers := make(chan struct{}), sync.WaitGroup{}
	for c := range 4 {
		likers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if res := r.try("post", fmt.Sprintf("u%d-%d", c, i), like.Liked); res.Err != nil && !errors.Is(res.Err, like.ErrFrozen) {
					t.Errorf("a like under load: %v", res.Err)
					return
				}
			}
		})
	}
	for range 20 {
		eventually(t, "likes are accepted", func() bool { return r.try("post", fmt.Sprint("x", r.book.freezes), like.Liked).Err == nil })
		r.freeze("post", true)
		count := r.read("post", "").Count
		for i := range 20 {
			r.refuses("post", fmt.Sprintf("late%d", i), like.Liked)
		}
		equal(t, "the count", r.read("post", "").Count, count)
		r.freeze("post", false)
	}
	close(stop)
	likers.Wait()
}
