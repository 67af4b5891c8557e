package counter

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"

	"plusone/hotpath/like"
)

// look is one question: an item's count, and whether user likes it. It is owned
// like a slot.
type look struct {
	item, user string
	hash       uint64 // of the item
	shard      int
	out        like.Reading
	cold       bool // Redis does not have the item
	unknown    bool // Redis has it, and knows nothing of the user
	err        error
	call       *readCall
}

// readCall is one Read and who waits for it. One whose caller has seen its end is
// used again.
type readCall struct {
	looks    []look
	waiting  []*look
	deadline time.Time
	left     atomic.Int32
	done     chan struct{} // holds one token when none is left
}

var readCalls = sync.Pool{New: func() any { return &readCall{done: make(chan struct{}, 1)} }}

// release hands on a call whose end its caller has seen: whoever settled its last
// look has let go of it.
func (c *readCall) release() {
	clear(c.looks)
	readCalls.Put(c)
}

func (l *look) settle() {
	if call := l.call; call.left.Add(-1) == 0 {
		call.done <- struct{}{} // there is room: this happens once
	}
}

func (l *look) fail(err error) {
	l.err = err
	l.settle()
}

func (l *look) late(now time.Time) bool { return now.After(l.call.deadline) }

// Read answers one Reading per item, order kept; user "" means that nobody asks
// who likes it. Items that Redis does not hold, and users of whom a partly
// resident item knows nothing, are answered by the ledger at once (their log is
// drained, so it knows all of them) and loaded behind the answer.
func (c *Counter) Read(ctx context.Context, items []string, user string) ([]like.Reading, error) {
	now := time.Now()
	call := c.newReadCall(ctx, now, items, user)
	g := c.opt.Fence.at(now)
	fits, turn := c.reads.enter(call.waiting, c.mayTurn(g, call.deadline.Sub(now)))
	if !fits {
		return nil, fmt.Errorf("%w: the queue of reads is full", like.ErrBusy)
	}
	if turn {
		c.seeNow(g)
	}
	select {
	case <-call.done:
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", like.ErrUnavailable, ctx.Err())
	}
	defer call.release()
	return c.readings(ctx, call)
}

// readings completes what a call was answered.
func (c *Counter) readings(ctx context.Context, call *readCall) ([]like.Reading, error) {
	var missing []*look
	for i := range call.looks {
		l := &call.looks[i]
		if l.err != nil {
			return nil, l.err
		}
		if l.cold || l.unknown {
			missing = append(missing, l)
		}
	}
	if len(missing) > 0 {
		if err := c.ask(ctx, missing); err != nil && !c.guess(missing) {
			return nil, err
		}
	}
	out := make([]like.Reading, len(call.looks))
	for i := range call.looks {
		out[i] = call.looks[i].out
	}
	return out, nil
}

func (c *Counter) newReadCall(ctx context.Context, now time.Time, items []string, user string) *readCall {
	call := readCalls.Get().(*readCall)
	var ok bool
	if call.deadline, ok = ctx.Deadline(); !ok {
		call.deadline = now.Add(c.opt.LoadTime)
	}
	n := len(items)
	if cap(call.looks) < n {
		call.looks, call.waiting = make([]look, n), make([]*look, n)
	}
	call.looks, call.waiting = call.looks[:n], call.waiting[:n]
	call.left.Store(int32(n))
	for i, item := range items {
		l := &call.looks[i]
		l.item, l.user, l.hash, l.call = item, user, xxhash.Sum64String(item), call
		l.shard = shardOf(l.hash, c.opt.Shards)
		call.waiting[i] = l
	}
	if n == 0 {
		call.done <- struct{}{}
	}
	return call
}

// ask completes looks from the ledger.
func (c *Counter) ask(ctx context.Context, missing []*look) error {
	items, users := make([]string, len(missing)), make([]string, len(missing))
	for i, l := range missing {
		items[i], users[i] = l.item, l.user
	}
	known, err := c.src.Counts(ctx, items, users)
	if err != nil {
		return fmt.Errorf("%w: %w", like.ErrUnavailable, err)
	}
	for i, l := range missing {
		switch {
		case l.unknown: // its count in Redis is newer
			l.out.Liked = known[i].Liked
			c.errand(errand{kind: unknown, shard: l.shard, item: l.item, user: l.user})
		case known[i].Count > 0:
			c.errand(errand{kind: cold, shard: l.shard, item: l.item})
			fallthrough
		default:
			l.out = known[i]
		}
	}
	return nil
}

// readLane is the writeLane's twin for reads.
func (c *Counter) readLane() {
	for {
		looks, ok := c.reads.take(maxFlush)
		if !ok {
			return
		}
		if g := c.opt.Fence.now(c.life); g.way == toRedis {
			c.see(looks, g)
		} else {
			c.seeAway(looks, g)
		}
		c.reads.give(looks, false)
	}
}

// seeNow is sendNow's twin for reads.
func (c *Counter) seeNow(g grant) {
	looks := c.reads.begin(maxFlush)
	defer func() { c.reads.give(looks, true) }()
	c.see(looks, g)
}
