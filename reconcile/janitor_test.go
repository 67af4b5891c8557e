package reconcile

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"plusone/hotpath/counter"
	"plusone/hotpath/like"
)

func TestAnItemThatTheLogNamesIsNotEvicted(t *testing.T) {
	r := newRig(t)
	r.like("post", 3)
	shard := counter.ShardOf("post", shards)
	n, err := r.log.Evict(t.Context(), shard, []string{"post"})
	ok(t, err)
	if n != 0 {
		t.Fatal("an item was evicted whose likes are in the log only")
	}
	r.drain()
	n, err = r.log.Evict(t.Context(), shard, []string{"post", "unknown"})
	ok(t, err)
	if left := r.rdb.Exists(t.Context(), likers("post")).Val(); n != 1 || left != 0 || r.rdb.HExists(t.Context(), key("post", "counts"), "post").Val() {
		t.Errorf("%d evicted, key there: %d", n, left)
	}
	got, err := r.counter.Read(t.Context(), []string{"post"}, "u1")
	ok(t, err)
	if got[0].Count != 3 || !got[0].Liked || got[0].Source != like.FromLedger {
		t.Errorf("after the eviction: %+v", got[0])
	}
	r.like("post", 4)
	r.agree("post", 4)
}

func TestTheJanitorShrinksALargeItemThatIsNotIdle(t *testing.T) {
	r := newRigOf(t, counter.Options{Shards: shards, ResidentSetMax: 1000})
	r.like("large", 500)
	r.like("small", 20)
	r.drain()
	j := NewJanitor(r.log, JanitorOptions{SetMax: 50})
	for _, item := range []string{"large", "small"} {
		ok(t, j.page(t.Context(), counter.ShardOf(item, shards), []string{item}, time.Hour))
	}
	large, small := r.rdb.SCard(t.Context(), likers("large")).Val(), r.rdb.SCard(t.Context(), likers("small")).Val()
	if large > 50 || j.forgotten.Load() < 450 || small != 20 || j.dropped.Load() != 0 {
		t.Errorf("%d and %d are left, %d forgotten, %d items evicted", large, small, j.forgotten.Load(), j.dropped.Load())
	}
	got, err := r.counter.Read(t.Context(), []string{"large"}, "u1")
	ok(t, err)
	if got[0].Count != 500 || !got[0].Liked {
		t.Errorf("then it is %+v", got[0])
	}
}

func TestTheJanitorKeepsTheBoundAndNoAnswerIsWrong(t *testing.T) {
	r := newRigOf(t, counter.Options{Shards: shards, ResidentSetMax: 50})
	r.draining()
	before, err := r.log.Memory(t.Context())
	ok(t, err)
	bound := before.Used + 5<<19
	j := NewJanitor(r.log, JanitorOptions{Bound: bound, SetMax: 50, Every: 20 * time.Millisecond})
	ctx, stop := context.WithCancel(t.Context())
	var parts, clients sync.WaitGroup
	parts.Go(func() {
		if err := j.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	parts.Go(func() {
		if err := r.reconciler(Options{Every: 50 * time.Millisecond, Full: 100 * time.Millisecond}).Run(ctx); err != nil {
			t.Error(err)
		}
	})
	// Every client has users of its own and knows what each of its pairs must be.
	const items = 4000
	models := make([]map[counter.Pair]bool, 4)
	for c := range models {
		models[c] = map[counter.Pair]bool{}
		clients.Go(func() {
			rnd := rand.New(rand.NewPCG(3, uint64(c)))
			for range 60 {
				r.evictedRound(t, rnd, c, items, models[c])
			}
		})
	}
	clients.Wait()
	stop()
	parts.Wait()

	want := map[string]int64{}
	for _, m := range models {
		for pair, liked := range m {
			if liked {
				want[pair.Item]++
			}
		}
	}
	for item, n := range want {
		got, err := r.counter.Read(t.Context(), []string{item}, "")
		ok(t, err)
		if got[0].Count != n {
			t.Errorf("%s: %d likes, want %d", item, got[0].Count, n)
		}
	}
	var repairs int
	ok(t, r.pool.QueryRow(t.Context(), `SELECT count(*) FROM repairs`).Scan(&repairs))
	evicted := j.dropped.Load()
	t.Logf("%d items evicted, %d users forgotten, %d bytes used at the end, bound %d", evicted, j.forgotten.Load(), j.used.Load(), bound)
	if repairs > 0 || evicted == 0 {
		t.Errorf("%d repairs without damage, %d evictions", repairs, evicted)
	}
}

// evictedRound makes 100 ops and checks each answer against the model.
func (r *rig) evictedRound(t *testing.T, rnd *rand.Rand, client, items int, model map[counter.Pair]bool) {
	ops, res := make([]like.Op, 100), make([]like.Result, 100)
	for i := range ops {
		ops[i] = like.Op{
			Item: fmt.Sprintf("item-%d", rnd.IntN(items)), User: fmt.Sprintf("user-with-a-longer-name-%d-%d", client, rnd.IntN(20)),
			Want: like.Want(min(rnd.IntN(4), 1)),
		}
		if i%4 == 0 { // a few large items
			ops[i].Item, ops[i].User = fmt.Sprintf("large-%d", rnd.IntN(3)), fmt.Sprintf("user-%d-%d", client, rnd.IntN(200))
		}
	}
	if err := r.counter.Apply(context.Background(), ops, res); err != nil {
		t.Error(err)
		return
	}
	for i, op := range ops {
		pair, liked := counter.Pair{Item: op.Item, User: op.User}, op.Want == like.Liked
		if res[i].Err != nil || res[i].Liked != liked || res[i].Changed != (model[pair] != liked) {
			t.Errorf("%+v, liked before: %v: %+v", op, model[pair], res[i])
		}
		model[pair] = liked
	}
}
