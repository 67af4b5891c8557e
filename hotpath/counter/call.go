package counter

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"plusone/hotpath/like"
)

// call is one Apply: its ops and who waits for them. After its caller has gone
// it lives on until the last of its slots is settled.
type call struct {
	counter  *Counter
	slots    []slot
	waiting  []*slot // those that can start
	deadline time.Time
	left     atomic.Int32 // slots that are not settled
	done     chan struct{}

	one      [1]slot // what slots and waiting are of a call with one op
	waiting1 [1]*slot

	// A caller that leaves says so, then looks whether anything is out;
	// the lane counts a slot as out, then looks whether the caller has left. So
	// either the caller knows that something may be applied, or nothing will be.
	gone atomic.Bool
	out  atomic.Int32 // slots that are with Redis, or were and got no answer that says "not applied"
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
// by one at a time, and is settled exactly once.
type slot struct {
	op    like.Op
	res   like.Result
	shard int
	call  *call
	next  *slot // the call's next op on the same pair; it starts when this one is settled
}

// newCall gives ops a deadline: the one of ctx, or the time that a load from the
// ledger may take. Ops on different pairs may overtake each other, those on one
// pair wait for each other.
func (c *Counter) newCall(ctx context.Context, ops []like.Op) *call {
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(c.opt.LoadTime)
	}
	call := &call{counter: c, deadline: deadline, done: make(chan struct{})}
	call.left.Store(int32(len(ops)))
	var last map[Pair]*slot
	if len(ops) == 1 {
		call.slots, call.waiting = call.one[:], call.waiting1[:0]
	} else {
		call.slots, call.waiting = make([]slot, len(ops)), make([]*slot, 0, len(ops))
		last = make(map[Pair]*slot, len(ops))
	}
	for i, op := range ops {
		s := &call.slots[i]
		*s = slot{op: op, shard: ShardOf(op.Item, c.opt.Shards), call: call}
		if len(ops) > 1 {
			pair := Pair{op.Item, op.User}
			earlier := last[pair]
			if last[pair] = s; earlier != nil {
				earlier.next = s
				continue
			}
		}
		call.waiting = append(call.waiting, s)
	}
	if len(ops) == 0 {
		close(call.done)
	}
	return call
}

// settle ends a slot's way; the call's last one wakes its caller.
func (s *slot) settle(res like.Result) {
	s.res = res
	switch {
	case s.next == nil:
	case res.Err != nil: // it may still be under way, so that a later op could come before it
		s.next.fail(fmt.Errorf("%w: an earlier op on the same pair failed", like.ErrUnavailable))
	case !s.call.counter.writes.put(s.next):
		s.next.fail(fmt.Errorf("%w: the queue of ops is full", like.ErrBusy))
	}
	if s.call.left.Add(-1) == 0 {
		close(s.call.done)
	}
}

func (s *slot) fail(err error) { s.settle(like.Result{Err: err}) }

func (s *slot) late(now time.Time) bool { return now.After(s.call.deadline) }
