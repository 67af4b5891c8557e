package transfer_test

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

// traffic is users who like and take back what is being imported, each pair by one
// client, and remember what they were told.
type traffic struct {
	w    *works
	mu   sync.Mutex
	last map[counter.Pair]bool // of pairs that an answer has called changed
	ops  int
}

// client sends ops on its own users until ctx ends.
func (tr *traffic) client(ctx context.Context, n int, items []string) {
	rnd := rand.New(rand.NewPCG(uint64(n), 1)) //nolint:gosec // a test's chance
	for ctx.Err() == nil {
		ops := make([]like.Op, 1+rnd.IntN(4))
		for i := range ops {
			ops[i] = like.Op{
				Item: items[rnd.IntN(len(items))], User: fmt.Sprintf("c%d-%d", n, rnd.IntN(8)),
				Want: []like.Want{like.Liked, like.NotLiked, like.Toggle}[rnd.IntN(3)],
			}
		}
		results := make([]like.Result, len(ops))
		err := tr.w.Apply(context.WithoutCancel(ctx), ops, results)
		tr.mu.Lock()
		for i, r := range results {
			if err != nil || r.Err != nil {
				tr.w.tb.Errorf("%+v: %v, %v", ops[i], err, r.Err)
				continue
			}
			p := counter.Pair{Item: ops[i].Item, User: ops[i].User}
			if _, own := tr.last[p]; own || r.Changed {
				tr.last[p] = r.Liked
			}
			tr.ops++
		}
		tr.mu.Unlock()
	}
}

// until runs what disturbs an import until it ends.
func until(ctx context.Context, all *sync.WaitGroup, again func()) {
	all.Go(func() {
		for ctx.Err() == nil {
			again()
		}
	})
}

func TestAnImportBesideTrafficLosesAgainstItAndBothSidesAgree(t *testing.T) {
	w := newWorks(t)
	tr := &traffic{w: w, last: map[counter.Pair]bool{}}
	items, all := make([]string, 12), []string{}
	for i := range items {
		items[i] = fmt.Sprintf("item-%d", i)
		for c := range 4 {
			for u := range 8 {
				all = append(all, lines(items[i], fmt.Sprintf("c%d-%d", c, u))...)
			}
		}
		all = append(all, lines(items[i], users("other", 40)...)...)
	}
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })

	ctx, stop := context.WithCancel(t.Context())
	var others sync.WaitGroup
	for c := range 4 {
		others.Go(func() { tr.client(ctx, c, items) })
	}
	until(ctx, &others, func() { w.ring(rand.IntN(shards)) })
	pace := time.Tick(5 * time.Millisecond) // else all items are cold nearly all the time
	until(ctx, &others, func() {
		<-pace
		item := items[rand.IntN(len(items))]
		_, err := w.log.Evict(t.Context(), counter.ShardOf(item, shards), []string{item})
		if err == nil {
			item = items[rand.IntN(len(items))]
			_, err = w.log.Shrink(t.Context(), counter.ShardOf(item, shards), item, 0, int64(rand.IntN(30)))
		}
		if err != nil {
			t.Error(err)
		}
	})
	until(ctx, &others, func() {
		report, err := w.checker.Once(t.Context(), false)
		if err != nil || len(report.Drifts) > 0 {
			t.Errorf("drift that is none: %+v, %v", report.Drifts, err)
		}
	})
	for len(all) > 0 { // small imports, so that there are many moments at which they meet
		n := min(len(all), 23)
		w.bring(all[:n]...)
		all = all[n:]
	}
	stop()
	others.Wait()

	got := w.likes()
	for _, item := range items {
		for _, u := range users("other", 40) {
			if !got[item+" "+u] {
				t.Errorf("%s %s was imported and is not liked", item, u)
			}
		}
		for c := range 4 {
			for u := range 8 {
				p := counter.Pair{Item: item, User: fmt.Sprintf("c%d-%d", c, u)}
				want, own := tr.last[p]
				if is := got[p.Item+" "+p.User]; is != (want || !own) {
					t.Errorf("%v: liked is %v; its user has changed it himself: %v, to %v", p, is, own, want)
				}
			}
		}
	}
	if len(tr.last) < 60 {
		t.Errorf("only %d pairs were changed in %d ops: this has tested nothing", len(tr.last), tr.ops)
	}
}
