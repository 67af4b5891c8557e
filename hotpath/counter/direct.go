package counter

import (
	"context"
	"errors"
	"time"

	"plusone/hotpath/like"
)

// Direct writes likes without Redis.
type Direct interface {
	// Write applies ops in their order, all in one transaction, and answers each;
	// seen is the highest version that the caller knows of. An error of the call
	// wraps like.ErrElsewhere when everybody writes to Redis, like.ErrUnavailable
	// (in both cases nothing was applied) or like.ErrUnknown.
	Write(ctx context.Context, ops []like.Op, seen like.Version) ([]like.Result, error)
}

const (
	maxDirect  = 1000 // ops of one transaction
	directTime = time.Second
)

// writeDirect sends slots to the ledger, a transaction after the other, as long
// as the ledger is where writes go.
func (c *Counter) writeDirect(slots []*slot, out *outbox) {
	for len(slots) > 0 {
		n := min(len(slots), maxDirect)
		err := c.commit(c.sendable(slots[:n]))
		slots = slots[n:]
		if err != nil && len(slots) > 0 {
			c.route(slots, out) // by what is known now
			return
		}
	}
}

// commit writes one transaction and answers its ops; those that belong to Redis
// after all go back into the queue.
func (c *Counter) commit(slots []*slot) error {
	if len(slots) == 0 {
		return nil
	}
	ops := make([]like.Op, len(slots))
	for i, s := range slots {
		ops[i] = s.op
	}
	ctx, cancel := context.WithTimeout(c.life, directTime)
	defer cancel()
	results, err := c.opt.Direct.Write(ctx, ops, c.opt.Fence.lastSeen())
	switch {
	case errors.Is(err, like.ErrElsewhere):
		c.opt.Fence.outdated()
		for _, s := range slots {
			s.comeBack()
			c.retry(errand{slot: s})
		}
	case err != nil:
		c.meter.direct(len(slots), err)
		for _, s := range slots {
			s.fail(err)
		}
	default:
		c.meter.direct(len(slots), nil)
		now := time.Now()
		for i, s := range slots {
			if results[i].Err == nil {
				c.cache.put(s.op.Item, results[i].Count, now)
			}
			s.settle(results[i])
		}
	}
	return err
}
