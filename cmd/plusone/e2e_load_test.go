package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"
)

// client is one of many that like at once. It has users of its own, so it knows
// what each of its pairs must be.
type client struct {
	h      *house
	id     int
	rnd    *rand.Rand
	liked  map[pair]bool // as the last acknowledged op left it
	unsure map[pair]bool // pairs whose last op was not answered
	code   map[int]int   // answers by status
	most   time.Duration // the longest answer
	items  int
}

type pair struct{ item, user string }

func newClients(h *house, n, items int) []*client {
	all := make([]*client, n)
	for i := range all {
		all[i] = &client{
			h: h, id: i, rnd: rand.New(rand.NewPCG(42, uint64(i))), items: items,
			liked: map[pair]bool{}, unsure: map[pair]bool{}, code: map[int]int{},
		}
	}
	return all
}

// op makes one op on one of the client's pairs and checks its answer.
func (c *client) op(t *testing.T, ctx context.Context) {
	p := pair{fmt.Sprintf("item-%d", c.rnd.IntN(c.items)), fmt.Sprintf("c%d-u%d", c.id, c.rnd.IntN(6))}
	method, path, want := http.MethodPut, likeOf(p.item), true
	switch c.rnd.IntN(10) {
	case 0, 1, 2, 3:
		method, want = http.MethodDelete, false
	case 4:
		method, path, want = http.MethodPost, likeOf(p.item)+"/toggle", !c.liked[p]
		if c.unsure[p] {
			return
		}
	}
	begin := time.Now()
	a, err := c.h.call(ctx, method, path, p.user)
	c.most = max(c.most, time.Since(begin))
	switch {
	case err != nil || a.Status == http.StatusServiceUnavailable:
		c.unsure[p] = true
	case a.Status != http.StatusOK:
		t.Errorf("%s %s as %s: %+v", method, path, p.user, a)
	case a.Liked != want || !c.unsure[p] && a.Changed != (c.liked[p] != want):
		t.Errorf("%s %s as %s, liked before: %v: %+v", method, path, p.user, c.liked[p], a)
	default:
		c.liked[p] = want
		delete(c.unsure, p)
	}
	c.code[a.Status]++
}

// load makes n ops per client, or as many as fit until ctx ends when n is 0.
func load(t *testing.T, ctx context.Context, all []*client, n int) {
	t.Helper()
	var wg sync.WaitGroup
	for _, c := range all {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil && (n == 0 || i < n); i++ {
				c.op(t, context.WithoutCancel(ctx))
			}
		})
	}
	wg.Wait()
}

// totals adds up what the clients know.
func totals(all []*client) (counts map[string]int64, codes map[int]int, unsure int) {
	counts, codes = map[string]int64{}, map[int]int{}
	for _, c := range all {
		for p, liked := range c.liked {
			if liked {
				counts[p.item]++
			}
		}
		for code, n := range c.code {
			codes[code] += n
		}
		unsure += len(c.unsure)
	}
	return counts, codes, unsure
}

// settle asks again for every pair whose last op was not answered: repeating a
// desired state is safe.
func settle(t *testing.T, all []*client) {
	t.Helper()
	for _, c := range all {
		for p := range c.unsure {
			a := c.h.ask(t, http.MethodPut, likeOf(p.item), p.user)
			if !a.Liked {
				t.Errorf("PUT %v: %+v", p, a)
			}
			c.liked[p] = true
		}
		clear(c.unsure)
	}
}

// holds compares every pair that a client knows with what the API says, and all
// items with both stores.
func holds(t *testing.T, h *house, all []*client) {
	t.Helper()
	h.drained(t)
	for _, c := range all {
		for p, liked := range c.liked {
			if c.unsure[p] {
				continue
			}
			if a := h.ask(t, http.MethodGet, "/v1/items/"+p.item, p.user); a.Liked != liked {
				t.Errorf("%v: acknowledged liked=%v, now %+v", p, liked, a)
			}
		}
	}
	counts, _, unsure := totals(all)
	if unsure == 0 {
		for item, n := range counts {
			h.agree(t, item, n)
		}
	}
}
