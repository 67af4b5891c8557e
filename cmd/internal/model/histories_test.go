package model_test

import (
	"context"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/redis/go-redis/v9"

	"plusone/hotpath/counter"
	"plusone/hotpath/like"
	"plusone/scripts/dev/private/privatetest"
)

// front is what clients talk to: a counter, or the API before it.
type front interface {
	op(like.Op) (like.Result, error)
	count(item, user string) (like.Reading, error)
}

// direct is a counter as a front.
type direct struct{ *counter.Counter }

func (d direct) op(op like.Op) (like.Result, error) {
	ctx, cancel := context.WithTimeout(background, patience)
	defer cancel()
	results := make([]like.Result, 1)
	_ = d.Apply(ctx, []like.Op{op}, results) // the result has its error
	return results[0], results[0].Err
}

func (d direct) count(item, user string) (like.Reading, error) {
	ctx, cancel := context.WithTimeout(background, patience)
	defer cancel()
	got, err := d.Read(ctx, []string{item}, user)
	if err != nil {
		return like.Reading{}, err
	}
	return got[0], nil
}

// history is what several clients were told.
type history struct {
	mu    sync.Mutex
	begun time.Time
	ops   []porcupine.Operation
	lost  atomic.Int64 // calls of which nobody knows what became
}

func (h *history) now() int64 { return int64(time.Since(h.begun)) }

func (h *history) add(client int, in asked, call int64, out told) {
	op := porcupine.Operation{ClientId: client, Input: in, Call: call, Output: out, Return: h.now()}
	if out.unknown {
		op.Return = forever
		h.lost.Add(1)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, op)
}

// client makes random calls until stop ends or it has made most of them; more when
// no reply was lost by then.
func (h *history) client(stop context.Context, id, most int, f front) {
	pick := rand.New(rand.NewPCG(uint64(id), uint64(most)))
	for n := 0; (n < most || n < 20*most && h.lost.Load() == 0) && stop.Err() == nil; n++ {
		in := asked{
			item: items[pick.IntN(len(items))], user: crowd[pick.IntN(len(crowd))],
			want: like.Want(pick.IntN(3)), read: pick.IntN(3) == 0,
		}
		call := h.now()
		if !in.read {
			res, err := f.op(like.Op{Item: in.item, User: in.user, Want: in.want})
			if out, keep := result(res.Liked, res.Changed, res.Count, err); keep {
				h.add(id, in, call, out)
			}
			continue
		}
		if pick.IntN(2) == 0 {
			in.user = ""
		}
		got, err := f.count(in.item, in.user)
		// What is told by guess says so, and promises nothing.
		if err == nil && !got.Unsure && got.Source != like.FromCache {
			h.add(id, in, call, told{liked: got.Liked, count: got.Count})
		}
	}
}

// troubled is a store under work: drains, evictions and forgetting all the time,
// and replies that are lost on the way of one of two counters.
type troubled struct {
	*rig
	shards int
	near   *counter.Counter // beside
	far    *counter.Counter // behind the proxy
	proxy  *privatetest.Proxy
	lost   int
}

func trouble(t *testing.T, most int) *troubled {
	t.Helper()
	server := privatetest.Redis(t)
	opt, err := redis.ParseURL(server.URL())
	must(t, err)
	r := &troubled{rig: build(t, []string{opt.Addr}, most), shards: 4, proxy: privatetest.NewProxy(t, opt.Addr)}
	must(t, r.reset(r.shards))
	r.near = r.houses[r.shards].counter
	r.far, err = counter.New(redis.UniversalOptions{Addrs: []string{r.proxy.Addr()}}, r.ledger,
		counter.Options{Shards: r.shards, ResidentSetMax: most, Timeout: 100 * time.Millisecond})
	must(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		must(t, r.far.Close(ctx))
	})
	return r
}

// run calls the clients and makes trouble until they have done.
func (r *troubled) run(clients func(stop context.Context)) {
	ctx, stop := context.WithCancel(background)
	var work sync.WaitGroup
	h := r.houses[r.shards]
	work.Go(func() {
		for shard := 0; ctx.Err() == nil; shard = (shard + 1) % r.shards {
			_ = h.drainer.Drain(ctx, shard)
		}
	})
	work.Go(func() {
		for ctx.Err() == nil {
			item := items[rand.IntN(len(items))]
			shard := counter.ShardOf(item, r.shards)
			_, _ = h.log.Evict(ctx, shard, []string{item})
			_, _ = h.log.Shrink(ctx, shard, items[rand.IntN(len(items))], 1, 1)
			await(ctx, 3*time.Millisecond)
		}
	})
	work.Go(func() {
		for ctx.Err() == nil {
			await(ctx, time.Duration(rand.IntN(150))*time.Millisecond)
			r.proxy.DropReplies(true)
			await(ctx, time.Duration(rand.IntN(5))*time.Millisecond)
			r.proxy.DropReplies(false)
			r.lost++
		}
	})
	clients(ctx)
	stop()
	work.Wait()
}

func await(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// record lets clients call both fronts, most calls each.
func (r *troubled) record(clients, most int, fronts ...front) *history {
	h := &history{begun: time.Now()}
	r.run(func(ctx context.Context) {
		var all sync.WaitGroup
		for id := range clients {
			all.Go(func() { h.client(ctx, id, most, fronts[id%len(fronts)]) })
		}
		all.Wait()
	})
	return h
}

func (h *history) judge(t *testing.T, apart bool) {
	t.Helper()
	unknown := h.lost.Load()
	t.Logf("%d calls in %s, %d of them with an unknown outcome", len(h.ops), time.Since(h.begun).Round(time.Millisecond), unknown)
	if unknown == 0 {
		t.Error("no reply was lost")
	}
	judge(t, "pairs", singlePairs, h.ops)
	judge(t, "items", wholeItems(apart), h.ops)
}

// calls is how many calls a client makes.
func calls() int {
	if os.Getenv("PLUSONE_TEST_LONG") != "" {
		return 3000
	}
	return 250
}

// Every answer, also beside lost replies, drains, evictions and loads, is that of
// one moment between call and answer.
func TestConcurrentClientsSeeOneOrder(t *testing.T) {
	for _, c := range []struct {
		what string
		most int
	}{{"items resident wholly", 0}, {"items resident partly", 2}} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			r := trouble(t, c.most)
			h := r.record(6, calls(), direct{r.near}, direct{r.far})
			h.judge(t, c.most > 0)
		})
	}
}

func TestConcurrentClientsSeeOneOrderOverHTTP(t *testing.T) {
	t.Parallel()
	r := trouble(t, 0)
	h := r.record(6, calls()/2, r.serve(t, r.near), r.serve(t, r.far))
	h.judge(t, false)
}
