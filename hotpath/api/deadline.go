package api

import (
	"context"
	"sync/atomic"
	"time"
)

// overdue stands for a time that has passed and been acted on.
const overdue = -1

// deadline is the context of one request: it ends at its time, or not at all, and
// holds no values. It serves the requests of its connection one after the other, so
// what is given it must not keep it, as is the rule for every context; one whose
// time has come is left to those who look at it.
type deadline struct {
	at   time.Time
	by   atomic.Int64  // at, on the connections' clock; 0: nobody uses it, or overdue
	over chan struct{} // closed by the watch
}

var _ context.Context = (*deadline)(nil)

// within is a deadline that ends d after the request's start, until it is released.
func (c *conn) within(start time.Time, d time.Duration) *deadline {
	ctx := c.request.Load()
	if ctx == nil || ctx.by.Load() == overdue {
		ctx = &deadline{over: make(chan struct{})}
		c.request.Store(ctx)
	}
	ctx.at = start.Add(d)
	ctx.by.Store(c.conns.clock(ctx.at))
	return ctx
}

// release ends the request's use of it. Once it is overdue it stays so.
func (d *deadline) release() {
	if by := d.by.Load(); by != overdue {
		d.by.CompareAndSwap(by, 0)
	}
}

// end closes it when its time has come.
func (d *deadline) end(now int64) {
	if passed(&d.by, now) {
		close(d.over)
	}
}

func (d *deadline) Deadline() (time.Time, bool) { return d.at, true }
func (d *deadline) Done() <-chan struct{}       { return d.over }
func (d *deadline) Value(any) any               { return nil }

func (d *deadline) Err() error {
	select {
	case <-d.over:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

func isPast(by *atomic.Int64, now int64) bool {
	at := by.Load()
	return at > 0 && at <= now
}

// passed reports, once, that a time has come.
func passed(by *atomic.Int64, now int64) bool {
	at := by.Load()
	return at > 0 && at <= now && by.CompareAndSwap(at, overdue)
}
