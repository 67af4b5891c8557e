package counter

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"

	"plusone/hotpath/like"
)

// call is one Apply: its ops and who waits for them. After its caller has gone
// it lives on until the last of its slots is settled; a call whose caller has seen
// its end is used again.
type call struct {
	counter  *Counter
	slots    []slot
	waiting  []*slot // those that can start
	deadline time.Time
	left     atomic.Int32  // slots that are not settled
	done     chan struct{} // holds one token when none is left

	last map[Pair]*slot // room for finding ops on the same pair

	// A caller that leaves says so, then looks whether anything is out;
	// the lane counts a slot as out, then looks whether the caller has left. So
	// either the caller knows that something may be applied, or nothing will be.
	gone atomic.Bool
	out  atomic.Int32 // slots that are with Redis, or were and got no answer that says "not applied"
}

// calls holds calls that nobody but their next caller knows.
var calls = sync.Pool{New: func() any { return &call{done: make(chan struct{}, 1)} }}

// release hands on a call whose end its caller has seen: all its slots are
// settled, and whoever settled the last one has let go of it.
func (c *call) release() {
	clear(c.slots)
	clear(c.waiting)
	if len(c.last) > 0 {
		clear(c.last)
	}
	c.out.Store(0)
	calls.Put(c)
}

// leave ends a call whose caller waits no longer, and reports whether none of
// its ops was applied or will be.
func (c *call) leave() (untouched bool) {
	c.gone.Store(true)
	return c.out.Load() == 0 && int(c.left.Load()) == len(c.slots)
}

// goOut says that a slot is about to be sent; false means that it must not be.
func (s *slot) goOut() bool {
	s.call.out.Add(1)
	if s.call.gone.Load() {
		s.call.out.Add(-1)
		return false
	}
	return true
}

// comeBack says that Redis has answered and not applied the slot.
func (s *slot) comeBack() { s.call.out.Add(-1) }

// slot is one op on its way. It is owned by the queue, the lane or the warmer,
// by one at a time, and is settled exactly once; with that its owner lets go of it.
type slot struct {
	op    like.Op
	res   like.Result
	hash  uint64 // of the item
	shard int
	unit  unit // of the user's quota
	call  *call
	next  *slot // the call's next op on the same pair; it starts when this one is settled
	after *slot // the next one of its group, while it is in one
}

// newCall gives ops a deadline: the one of ctx, or the time that a load from the
// ledger may take. Ops on different pairs may overtake each other, those on one
// pair wait for each other.
func (c *Counter) newCall(ctx context.Context, ops []like.Op) *call {
	call := calls.Get().(*call)
	call.counter = c
	var ok bool
	if call.deadline, ok = ctx.Deadline(); !ok {
		call.deadline = time.Now().Add(c.opt.LoadTime)
	}
	call.left.Store(int32(len(ops)))
	if cap(call.slots) < len(ops) {
		call.slots, call.waiting = make([]slot, len(ops)), make([]*slot, 0, len(ops))
	}
	call.slots, call.waiting = call.slots[:len(ops)], call.waiting[:0]
	for i, op := range ops {
		s := &call.slots[i]
		s.op, s.hash, s.call = op, xxhash.Sum64String(op.Item), call
		s.shard = shardOf(s.hash, c.opt.Shards)
		if len(ops) == 1 || call.first(s) {
			call.waiting = append(call.waiting, s)
		}
	}
	if len(ops) == 0 {
		call.done <- struct{}{}
	}
	return call
}

// first reports whether a slot is the first one on its pair; else it comes after
// the last one.
func (c *call) first(s *slot) bool {
	if c.last == nil {
		c.last = make(map[Pair]*slot, len(c.slots))
	}
	pair := Pair{s.op.Item, s.op.User}
	earlier := c.last[pair]
	c.last[pair] = s
	if earlier != nil {
		earlier.next = s
	}
	return earlier == nil
}

// settle ends a slot's way; the call's last one wakes its caller.
func (s *slot) settle(res like.Result) {
	if q := s.call.counter.quota; q != nil {
		q.end(s, &res)
	}
	s.res = res
	switch {
	case s.next == nil:
	case res.Err != nil && !errors.Is(res.Err, like.ErrFrozen): // it may still be under way, so that a later op could come before it
		s.next.fail(fmt.Errorf("%w: an earlier op on the same pair failed", like.ErrUnavailable))
	case !s.call.counter.writes.put(s.next):
		s.next.fail(fmt.Errorf("%w: the queue of ops is full", like.ErrBusy))
	}
	if call := s.call; call.left.Add(-1) == 0 {
		call.done <- struct{}{} // there is room: this happens once
	}
}

func (s *slot) fail(err error) { s.settle(like.Result{Err: err}) }

func (s *slot) late(now time.Time) bool { return now.After(s.call.deadline) }
