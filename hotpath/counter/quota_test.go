package counter

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"plusone/hotpath/like"
)

func withQuota(n int) Options {
	return Options{Shards: 1, Quota: like.Quota{Likes: n, Window: quotaWindow}}
}

// used waits until all reservations have ended, and tells who has used how much.
func (r *rig) used() string {
	r.t.Helper()
	k := keysOf(0)
	eventually(r.t, "all reservations have ended", func() bool { return r.rdb.XLen(r.t.Context(), k.reserved).Val() == 0 })
	return usedBy(r.t, r.rdb, k)
}

func TestAQuotaBoundsTheLikesOfAUser(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		r := newRig(t, addr, withQuota(2))
		for i, item := range []string{"a", "b"} {
			res := r.do(item, "ann", like.Liked)
			equal(t, "liked "+item, res.Liked && res.Changed, true)
			equal(t, "units left", res.Units.Left, 1-i)
			equal(t, "the window's end", res.Units.Known && res.Units.Ends.After(time.Now()), true)
		}
		over := r.try("c", "ann", like.Liked)
		equal(t, "one too many", over.Err, like.ErrQuota)
		equal(t, "none left", over.Units.Known && over.Units.Left == 0, true)
		equal(t, "not liked", r.read("c", "ann").Liked, false)
		equal(t, "a toggle too many", r.try("c", "ann", like.Toggle).Err, like.ErrQuota)

		again := r.do("a", "ann", like.Liked)
		equal(t, "the like that took a unit, repeated", again.Liked && !again.Changed, true)
		equal(t, "its count", again.Count, 1)
		off := r.do("b", "ann", like.Toggle)
		equal(t, "a toggle of what is liked", off.Changed && !off.Liked, true)
		equal(t, "an unlike", r.do("a", "ann", like.NotLiked).Changed, true)
		equal(t, "which gives nothing back", r.try("c", "ann", like.Liked).Err, like.ErrQuota)
		equal(t, "somebody else", r.do("c", "bob", like.Liked).Changed, true)
		equal(t, "used", r.used(), "ann:2 bob:1")
	})
}

func TestAnOpThatMakesNoLikeGivesItsUnitBack(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		r := newRig(t, addr, withQuota(2))
		r.do("a", "ann", like.Liked)
		for range 3 {
			res := r.do("a", "ann", like.Liked)
			equal(t, "changed", res.Changed, false)
			equal(t, "units left", res.Units.Left, 1)
		}
		equal(t, "a toggle that unlikes", r.do("a", "ann", like.Toggle).Changed, true)
		ok(t, r.rdb.HSet(t.Context(), keysOf(0).counts, "a", "damaged").Err())
		equal(t, "a damaged item", r.try("a", "ann", like.Liked).Err != nil, true)
		equal(t, "used", r.used(), "ann:1")
		equal(t, "the other unit", r.do("b", "ann", like.Liked).Changed, true)
	})
}

func TestAnUnlikeGivesItsUnitBackWhereTheSettingSaysSo(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		opt := withQuota(1)
		opt.Quota.RefundUnlikes = true
		r := newRig(t, addr, opt)
		for range 3 {
			r.do("a", "ann", like.Liked)
			equal(t, "one too many", r.try("b", "ann", like.Liked).Err, like.ErrQuota)
			r.do("a", "ann", like.NotLiked)
			r.do("a", "ann", like.NotLiked) // changes nothing
			eventually(t, "the unit is back", func() bool { return r.used() == "" })
		}
		r.do("a", "ann", like.Liked)
		r.do("a", "ann", like.Toggle)
		eventually(t, "a toggle gives it back, too", func() bool { return r.used() == "" })
	})
}

func TestOpsOnOnePairInOneCallGoOneAfterTheOther(t *testing.T) {
	r := realRig(t, withQuota(2))
	// An op on a cold item gives its unit back while it waits, and another may take it.
	ok(t, r.Apply(t.Context(), []like.Op{{Item: "a", User: "bob", Want: like.NotLiked}, {Item: "b", User: "bob", Want: like.NotLiked}}, make([]like.Result, 2)))
	var ops []like.Op
	for _, o := range []like.Op{{Item: "a", Want: like.Liked}, {Item: "a"}, {Item: "a", Want: like.Toggle}, {Item: "a", Want: like.Liked}, {Item: "b", Want: like.Liked}} {
		o.User = "ann"
		ops = append(ops, o)
	}
	res := make([]like.Result, len(ops))
	ok(t, r.Apply(t.Context(), ops, res))
	// b takes its unit when the first like does.
	equal(t, "like", res[0].Changed && res[1].Changed && res[4].Changed, true)
	equal(t, "the toggle is one too many", res[2].Err, like.ErrQuota)
	equal(t, "what comes after it", errors.Is(res[3].Err, like.ErrUnavailable), true)
	equal(t, "used", r.used(), "ann:2")
}

// However many ask at once, wherever: no user gets more than the quota, and
// everybody who asks for as much gets all of it.
func TestClientsOfTwoCountersShareAQuota(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		opt := withQuota(5)
		opt.Shards = 4
		r := newRig(t, addr, opt)
		other := start(t, addr, r.book, opt)
		var wg sync.WaitGroup
		var liked, refused [3]atomic.Int32
		var told [60]atomic.Bool
		for i := range 60 {
			wg.Go(func() {
				u, c := i%3, r.Counter
				if i%2 == 0 {
					c = other
				}
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				res := make([]like.Result, 1)
				_ = c.Apply(ctx, []like.Op{{Item: fmt.Sprint("i", i), User: fmt.Sprint("u", u), Want: like.Liked}}, res)
				switch {
				case res[0].Changed:
					liked[u].Add(1)
					told[i].Store(true)
				case errors.Is(res[0].Err, like.ErrQuota):
					refused[u].Add(1)
				default:
					t.Errorf("%+v", res[0])
				}
			})
		}
		wg.Wait()
		for i := range 60 {
			equal(t, "an item's like is that of which its user was told", r.read(fmt.Sprint("i", i), fmt.Sprint("u", i%3)).Liked, told[i].Load())
		}
		for u := range liked {
			equal(t, "likes of a user", liked[u].Load(), 5)
			equal(t, "refused", refused[u].Load(), 15)
		}
	})
}

// However much there is to ask and tell: no call carries more than it may, and nothing
// comes twice.
func TestCallsOfAQuotaAreBounded(t *testing.T) {
	q := newQuota(&Counter{opt: Options{Shards: 4}, keys: keysOfAll(4)})
	out, users := newOutbox(q.c.keys), map[string]int{}
	for i := range 3 * maxScript {
		user := fmt.Sprint("u", i)
		out.add(&slot{op: like.Op{Item: fmt.Sprint("i", i%9), User: user, Want: like.Liked}, shard: i % 9 % 4})
		q.back = append(q.back, user)
		q.ended = append(q.ended, &reservation{shard: i % 4, id: user, over: time.Now().Add(time.Hour)})
	}
	fields := map[string]bool{}
	for round := 0; ; round++ {
		asks := q.gather(out.batches)
		if round == 10 {
			t.Fatal("it never ends")
		}
		if len(asks) == 0 {
			equal(t, "rounds", round, 3)
			break
		}
		for _, a := range asks {
			_ = a.command(t.Context())
			equal(t, "a field of its own", fields[q.slips[a.nth]] && round == 0, false)
			fields[q.slips[a.nth]] = true
			size := 0
			for _, p := range a.parts {
				size += len(p.slots) + len(p.ends) + len(p.backs)
				for _, s := range p.slots {
					users[s.op.User]++
					equal(t, "the shard of a user", ShardOf(s.op.User, 4), p.shard)
				}
				for _, user := range p.backs {
					users["back "+*user]++
				}
				for _, r := range p.ends {
					users["end "+r.id]++
				}
			}
			equal(t, fmt.Sprint("size ", size), size <= maxScript && size == a.size, true)
		}
		out.empty()
	}
	equal(t, "things", len(users), 9*maxScript)
	for what, n := range users {
		equal(t, what, n, 1)
	}
	err := q.grant(&part{slots: make([]*slot, 3)}, []string{"failed", "in three words", "", "", ""})
	equal(t, fmt.Sprint("what has failed: ", err), err != nil && err.Error() == "in three words", true)
}

// One call with more ops than a script call carries, of users who want more than they
// may: who is told of a like has it, and nobody else; everybody gets all of his quota.
func TestManyOpsAreToldApartByTheirUnits(t *testing.T) {
	for _, shards := range []int{1, 4} {
		t.Run(fmt.Sprint(shards, " shards"), func(t *testing.T) {
			opt := withQuota(3)
			opt.Shards = shards
			r := realRig(t, opt)
			for i := range 7 {
				r.do(fmt.Sprint("i", i), fmt.Sprint("first", i), like.Liked) // so that all go at once
			}
			var ops []like.Op
			for i := range 3 * maxScript {
				op := like.Op{Item: fmt.Sprint("i", i%7), User: fmt.Sprint("u", i), Want: like.Want(1 + i%2)}
				switch i % 4 {
				case 1:
					op.User = fmt.Sprint("greedy", i%20) // 5 of them, on 7 items again and again
				case 2:
					op.Want = like.NotLiked
				}
				ops = append(ops, op)
			}
			res := make([]like.Result, len(ops))
			ok(t, r.Apply(t.Context(), ops, res))
			used, refused, is := map[string]int{}, 0, map[Pair]bool{}
			for i, op := range ops {
				greedy := strings.HasPrefix(op.User, "greedy")
				switch {
				case errors.Is(res[i].Err, like.ErrQuota):
					refused++
					equal(t, "one too many of "+op.User, greedy && res[i].Units.Left == 0, true)
				case greedy && res[i].Err == nil:
					is[Pair{op.Item, op.User}] = res[i].Liked
					if res[i].Changed && res[i].Liked {
						used[op.User]++
					}
				case !greedy:
					equal(t, fmt.Sprintf("%+v: %+v", op, res[i]), res[i].Err == nil && res[i].Changed == (op.Want != like.NotLiked), true)
				}
			}
			equal(t, "some were refused", refused > 0, true)
			equal(t, "greedy ones", len(used), 5)
			for user, n := range used {
				equal(t, "likes of "+user, n, 3)
				for i := range 7 {
					p := Pair{fmt.Sprint("i", i), user}
					equal(t, fmt.Sprint(p), r.read(p.Item, p.User).Liked, is[p])
				}
			}
		})
	}
}

func TestAFlushedRedisBeginsItsQuotasAnew(t *testing.T) {
	r := realRig(t, withQuota(1))
	r.do("a", "ann", like.Liked)
	equal(t, "one too many", r.try("b", "ann", like.Liked).Err, like.ErrQuota)
	r.used()
	r.book.drain(t, r.log)
	commands(t, r.rdb, "FLUSHALL")
	equal(t, "a new one", r.do("b", "ann", like.Liked).Changed, true)
	equal(t, "used", r.used(), "ann:1")
}

func TestACounterThatClosesEndsItsReservations(t *testing.T) {
	r := realRig(t, withQuota(3))
	c, err := New(redis.UniversalOptions{Addrs: []string{r.rdb.Options().Addr}}, r.book, withQuota(3))
	ok(t, err)
	res := make([]like.Result, 1)
	ok(t, c.Apply(t.Context(), []like.Op{{Item: "a", User: "ann", Want: like.Liked}}, res))
	ok(t, c.Close(t.Context()))
	equal(t, "reserved", reservedIn(t, r.rdb, keysOf(0)), "")
	equal(t, "used", usedBy(t, r.rdb, keysOf(0)), "ann:1")
}

func TestAUsersQuotaIsErasedAndThatOfARetiredShardDropped(t *testing.T) {
	opt := withQuota(3)
	opt.Shards = 4
	r := realRig(t, opt)
	for i := range 8 {
		r.do("a", fmt.Sprint("u", i), like.Liked)
	}
	found, err := r.log.Traces(t.Context(), "u1")
	ok(t, err)
	equal(t, "traces", found.Quota && found.Len() == 2, true)
	_, err = r.log.Scrub(t.Context(), "u1", Traces{})
	ok(t, err)
	found, err = r.log.Traces(t.Context(), "u1")
	ok(t, err)
	equal(t, "traces", found.Quota, false)
	r.book.drain(t, r.log)
	ok(t, r.log.Move(t.Context(), 2))
	ok(t, r.log.Retire(t.Context(), 2))
	for s := range 4 {
		equal(t, "quota keys", r.rdb.Exists(t.Context(), keysOf(s).quota, keysOf(s).reserved).Val(), 0)
	}
}
