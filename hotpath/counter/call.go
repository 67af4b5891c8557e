package counter

import (
	"context"
	"sync/atomic"
	"time"

	"plusone/hotpath/like"
)

// call is one Apply: its ops and who waits for them. After its caller has gone
// it lives on until the last of its slots is settled.
type call struct {
	slots    []slot
	waiting  []*slot // the same, as the queue takes them
	deadline time.Time
	left     atomic.Int32
	done     chan struct{}
}

// slot is one op on its way. It is owned by the queue, the lane or the warmer,
// by one at a time, and is settled exactly once.
type slot struct {
	op    like.Op
	res   like.Result
	shard int
	call  *call
}

// newCall gives ops a deadline: the one of ctx, or the time that a load from the
// ledger may take.
func newCall(ctx context.Context, ops []like.Op, opt Options) *call {
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(opt.LoadTime)
	}
	c := &call{
		slots: make([]slot, len(ops)), waiting: make([]*slot, len(ops)),
		deadline: deadline, done: make(chan struct{}),
	}
	c.left.Store(int32(len(ops)))
	for i, op := range ops {
		c.slots[i] = slot{op: op, shard: ShardOf(op.Item, opt.Shards), call: c}
		c.waiting[i] = &c.slots[i]
	}
	if len(ops) == 0 {
		close(c.done)
	}
	return c
}

// settle ends a slot's way; the call's last one wakes its caller.
func (s *slot) settle(res like.Result) {
	s.res = res
	if s.call.left.Add(-1) == 0 {
		close(s.call.done)
	}
}

func (s *slot) fail(err error) { s.settle(like.Result{Err: err}) }

func (s *slot) late(now time.Time) bool { return now.After(s.call.deadline) }
