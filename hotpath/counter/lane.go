package counter

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

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
	buf := make([]*slot, 0, maxFlush)
	for {
		slots, ok := c.writes.take(buf, maxFlush)
		if !ok {
			return
		}
		c.route(slots)
		clear(slots) // calls must not be kept alive by the buffer
	}
}

// route sends slots where writes go now.
func (c *Counter) route(slots []*slot) {
	switch g := c.opt.Fence.now(c.life); {
	case g.way == toRedis:
		c.flush(slots, g)
	case g.way == toLedger && c.opt.Direct != nil:
		c.writeDirect(slots)
	default:
		for _, s := range slots {
			s.fail(g.refusal())
		}
	}
}

// flush sends slots as one pipeline, a script call per shard and at most
// maxScript ops, and passes the answers on.
func (c *Counter) flush(slots []*slot, g grant) {
	batches := c.group(slots)
	if len(batches) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(c.life, c.opt.Timeout)
	defer cancel()
	start := time.Now()
	cmds := c.send(ctx, batches, c.before(g))
	c.meter.sent(len(slots), time.Since(start))
	c.opt.Fence.exchanged(cmds[0].Err())
	if !g.believes() {
		for _, b := range batches {
			b.each(func(s *slot) { s.fail(errLate) })
		}
		return
	}
	for i, b := range batches {
		c.settle(b, cmds[i])
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

// send runs the batches; those whose script the server does not know run again
// with its text, which is safe since they did not run.
func (c *Counter) send(ctx context.Context, batches []*batch, before int64) []*redis.Cmd {
	cmds := make([]*redis.Cmd, len(batches))
	pipe := c.guarded.Pipeline()
	for i, b := range batches {
		cmds[i] = pipe.EvalSha(ctx, likeScript.sha, b.keys, b.args(c.opt, before)...)
	}
	_, _ = pipe.Exec(ctx) // each command holds its own error
	for i, b := range batches {
		if unknownScript(cmds[i].Err()) {
			cmds[i] = c.guarded.Eval(ctx, likeScript.text, b.keys, b.args(c.opt, before)...)
		}
	}
	return cmds
}

// group sorts slots into script calls.
func (c *Counter) group(slots []*slot) []*batch {
	var batches []*batch
	open := make(map[int]*batch, min(len(slots), c.opt.Shards))
	for _, s := range c.sendable(slots) {
		b := open[s.shard]
		if b == nil || b.ops == maxScript {
			b = newBatch(s.shard, &c.keys[s.shard])
			open[s.shard] = b
			batches = append(batches, b)
		}
		b.add(s)
	}
	return batches
}

// sendable counts slots as out, and ends those that are too late.
func (c *Counter) sendable(slots []*slot) []*slot {
	ready := make([]*slot, 0, len(slots))
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
