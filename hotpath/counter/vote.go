package counter

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"plusone/hotpath/like"
)

// ballot is one vote on its way. It is owned by the queue, the vote lane or the
// warmer, by one at a time, and is settled exactly once.
type ballot struct {
	op       like.VoteOp
	shard    int
	deadline time.Time
	told     like.VoteState // by the ledger, before each try
	phase    atomic.Int32
	done     chan like.Voted // has room for the answer
}

// The phases of a ballot. Its caller, who leaves, and the lane, which sends it, take
// it out of the first one; what took it first counts.
const (
	here int32 = iota // nothing of it can be applied
	away              // it is with Redis, or was and got no answer that says "not applied"
	left              // nobody waits for it
)

// goOut says that a ballot is about to be sent; false means that it must not be.
func (b *ballot) goOut() bool { return b.phase.CompareAndSwap(here, away) }

// comeBack says that Redis has answered and not applied it.
func (b *ballot) comeBack() { b.phase.Store(here) }

func (b *ballot) settle(v like.Voted) { b.done <- v }

func (b *ballot) fail(err error) { b.settle(like.Voted{Err: err}) }

func (b *ballot) late(now time.Time) bool { return now.After(b.deadline) }

// Vote applies one op on a vote. Errors of the result: like.ErrVoteConflict,
// like.ErrFrozen (for a new one), like.ErrCountLimit, like.ErrNotFound for a look at what nobody has voted; like.ErrBusy
// and like.ErrUnavailable, nothing was applied (votes need both stores);
// like.ErrUnknown, which is safe to repeat.
func (c *Counter) Vote(ctx context.Context, op like.VoteOp) like.Voted {
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(c.opt.LoadTime)
	}
	if g := c.opt.Fence.at(time.Now()); g.way == nowhere { // at once, whatever the lane waits for
		return like.Voted{Err: g.err}
	}
	b := &ballot{op: op, shard: ShardOf(op.Item, c.opt.Shards), deadline: deadline, done: make(chan like.Voted, 1)}
	if !c.votes.put(b) {
		return like.Voted{Err: fmt.Errorf("%w: the queue of votes is full", like.ErrBusy)}
	}
	select {
	case v := <-b.done:
		return v
	case <-ctx.Done():
	}
	if b.phase.CompareAndSwap(here, left) {
		return like.Voted{Err: fmt.Errorf("%w: what the vote needs was not there in time", like.ErrUnavailable)}
	}
	return like.Voted{Err: fmt.Errorf("%w: %w", like.ErrUnknown, ctx.Err())}
}
