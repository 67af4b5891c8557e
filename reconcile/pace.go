package reconcile

import (
	"context"
	"time"
)

// share: a round of a reconciler whose rate nobody set works one part of its time in
// so many. A single pass does not rest: somebody waits for it.
const share = 50

// step is within, and counts the time: what Redis and Postgres do for a pass they do
// while it waits for them.
func (p *pass) step(ctx context.Context, step func(context.Context) error) error {
	start := time.Now()
	defer func() { p.spent += time.Since(start) }()
	return within(ctx, step)
}

// pay rests for the work since the last rest: by its time, or where a rate is set by
// the number of pairs. It may take long, so it stands outside of every step and holds
// no pin.
func (p *pass) pay(ctx context.Context) error {
	spent := p.spent
	p.spent = 0
	switch {
	case p.opt.Rate > 0:
		return p.keepRate(ctx)
	case p.hurry:
		return ctx.Err()
	}
	return rest(ctx, (share-1)*spent)
}

// breathe is pay while a pin is held, which must not hold the log back for long: it
// rests as long as the last page took; the rest is paid for later.
func (p *pass) breathe(ctx context.Context, page time.Duration) error {
	switch {
	case p.opt.Rate > 0:
		return p.keepRate(ctx)
	case p.hurry:
		return ctx.Err()
	}
	return rest(ctx, page)
}

func (p *pass) keepRate(ctx context.Context) error {
	for ; p.owed > 0; p.owed -= p.pace.Burst() {
		if err := p.pace.WaitN(ctx, min(p.owed, p.pace.Burst())); err != nil {
			return err
		}
	}
	p.owed = 0
	return nil
}

func rest(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
