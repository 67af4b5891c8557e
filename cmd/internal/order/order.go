// Package order runs the parts of a process and ends them in order.
//
//	start:  first ─▶ … ─▶ last        end:  last ─▶ … ─▶ first
//
// A part is told to end only after those that were started later have ended,
// so a part may use the ones before it until its own end. The first part that
// fails ends all.
package order

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"
)

// Part runs until its context ends and then finishes what it has begun, within
// a bound of its own. Returning earlier, even without an error, is a failure.
type Part struct {
	Name string
	Run  func(context.Context) error
}

// ErrEnded: a part returned although nobody had asked it to.
var ErrEnded = errors.New("ended by itself")

// Run runs the parts until ctx ends or one fails, ends them, and returns once
// all have ended. The error is that of the first part that failed.
func Run(ctx context.Context, parts ...Part) error {
	group, running := errgroup.WithContext(ctx)
	ends := make([]func(), len(parts))
	for i, p := range parts {
		own, stop := context.WithCancel(context.WithoutCancel(ctx))
		ended := make(chan struct{})
		group.Go(func() error {
			defer close(ended)
			return p.run(own)
		})
		ends[i] = func() { stop(); <-ended }
	}
	<-running.Done()
	for i := len(ends) - 1; i >= 0; i-- {
		ends[i]()
	}
	return group.Wait()
}

func (p Part) run(ctx context.Context) error {
	err := p.Run(ctx)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = nil // its way of saying that it was told to end
	}
	if err == nil && ctx.Err() == nil {
		err = ErrEnded
	}
	if err != nil {
		return fmt.Errorf("%s: %w", p.Name, err)
	}
	return nil
}
