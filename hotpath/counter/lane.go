package counter

import (
	"context"
	"fmt"
	"time"

	"plusone/hotpath/like"
)

const (
	maxFlush  = 4096 // ops that one pipeline carries
	maxScript = 512  // ops that one script call carries: bounds how long Redis is busy with it
	// lateTime is how long after its timeout an exchange may still be applied: it
	// makes up for clocks that were not read exactly.
	lateTime = 500 * time.Millisecond
)

// writeLane sends what has gathered as soon as the previous batch is answered.
func (c *Counter) writeLane() {
	for {
		slots, ok := c.nextSlots()
		if !ok {
			return
		}
		c.route(slots, c.out)
		c.writes.give(slots, false)
	}
}

func (c *Counter) nextSlots() ([]*slot, bool) {
	if c.quota != nil {
		return c.quota.take(c.writes)
	}
	return c.writes.take(maxFlush)
}

// mayTurn reports whether a caller who has so much time left may send by himself: as
// long as an exchange may take, to where nothing need be waited for.
func (c *Counter) mayTurn(g grant, left time.Duration) bool {
	return g.way == toRedis && left >= c.opt.Timeout
}

// sendNow sends what a caller has just put into an idle lane, on its own goroutine:
// nobody else need be woken on the way there and back. What comes meanwhile is the
// writeLane's.
func (c *Counter) sendNow(g grant) {
	slots := c.writes.begin(maxFlush)
	defer func() { c.writes.give(slots, true) }()
	c.flush(slots, g, c.out)
}

// route sends slots where writes go now.
func (c *Counter) route(slots []*slot, out *outbox) {
	switch g := c.opt.Fence.now(c.life); {
	case g.way == toRedis:
		c.flush(slots, g, out)
	case g.way == toLedger && c.opt.Direct != nil:
		c.writeDirect(slots, out)
	default:
		for _, s := range slots {
			s.fail(g.refusal())
		}
	}
}

// flush sends slots as one pipeline, a script call per shard and at most
// maxScript ops, and passes the answers on. What asks for units of quotas goes first.
func (c *Counter) flush(slots []*slot, g grant, out *outbox) {
	for _, s := range c.sendable(slots) {
		out.add(s)
	}
	var asks []*ask
	if c.quota != nil {
		asks = c.quota.gather(out.batches)
	}
	if len(out.batches)+len(asks) == 0 {
		return
	}
	defer out.empty()
	ctx, cancel := context.WithTimeout(c.life, c.opt.Timeout)
	defer cancel()
	start := time.Now()
	err := c.send(ctx, out.batches, asks, c.before(g))
	c.meter.sent(len(slots), time.Since(start))
	c.opt.Fence.exchanged(err)
	for _, a := range asks {
		c.quota.granted(a)
	}
	believed := g.believes()
	for _, b := range out.batches {
		if believed {
			c.settle(b)
		} else {
			b.each(func(s *slot) { s.fail(errLate) })
		}
	}
}

// before is until when Redis may apply what is sent now, by its clock: as long as
// somebody waits for it, and nobody writes to the ledger.
func (c *Counter) before(g grant) int64 {
	until := time.Now().Add(c.opt.Timeout + lateTime)
	if end := g.until.Add(graceTime); end.Before(until) {
		until = end
	}
	return c.opt.Fence.redisTime(until)
}

// send runs the calls; those whose script the server does not know run again with its
// text, which is safe since they did not run. The error is the first of theirs: each
// holds its own.
func (c *Counter) send(ctx context.Context, batches []*batch, asks []*ask, before int64) (err error) {
	pipe := c.guarded.Pipeline()
	for _, a := range asks {
		_ = pipe.Process(ctx, a.command(ctx)) // it only queues
	}
	for _, b := range batches {
		_ = pipe.Process(ctx, b.command(ctx, &c.opt, before))
	}
	_, _ = pipe.Exec(ctx)
	note := func(i *invocation) {
		e := i.cmd.Err()
		if unknownScript(e) {
			e = c.guarded.Process(ctx, i.withText(ctx))
		}
		if err == nil {
			err = e
		}
	}
	for _, a := range asks {
		note(&a.invocation)
	}
	for _, b := range batches {
		note(&b.invocation)
	}
	return err
}

// sendable counts slots as out, and ends those that are too late. What it returns
// has taken the place of slots.
func (c *Counter) sendable(slots []*slot) []*slot {
	ready := slots[:0]
	now := time.Now()
	for _, s := range slots {
		switch {
		case s.late(now):
			s.fail(fmt.Errorf("%w: the op waited too long", like.ErrBusy))
		case !s.goOut():
			s.fail(fmt.Errorf("%w: nobody waits for the op any more", like.ErrBusy))
		default:
			ready = append(ready, s)
		}
	}
	return ready
}
