package api

import (
	"context"
	"sync"
	"time"
)

// deadline is the context of one request: it ends at its time, or not at all, and
// holds no values. It serves one request after the other, so what is given it
// must not keep it, as is the rule for every context; one whose time has come is
// left to those who look at it.
type deadline struct {
	at    time.Time
	over  chan struct{} // closed by timer
	timer *time.Timer
}

var _ context.Context = (*deadline)(nil)

var deadlines = sync.Pool{New: func() any { return &deadline{over: make(chan struct{})} }}

// within is a deadline that ends after d, until it is released.
func within(d time.Duration) *deadline {
	ctx := deadlines.Get().(*deadline)
	ctx.at = time.Now().Add(d)
	if ctx.timer == nil {
		ctx.timer = time.AfterFunc(d, func() { close(ctx.over) })
	} else {
		ctx.timer.Reset(d)
	}
	return ctx
}

// release ends the request's use of it.
func (d *deadline) release() {
	if d.timer.Stop() {
		deadlines.Put(d)
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
