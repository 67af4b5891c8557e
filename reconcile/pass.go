package reconcile

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"plusone/hotpath/counter"
	"plusone/tasks/ledger"
)

const (
	chunkItems = 256 // compared under one pin: the log must not be held back for long
	lookItems  = 16  // looked at in one script: bounds how long Redis is busy
	pageUsers  = 1000
	recentMost = 1024 // recent items of a shard in one round
	bookItems  = 500
)

// stepTime bounds one step: a page, a script, a statement.
const stepTime = 30 * time.Second

func within(ctx context.Context, step func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	return step(ctx)
}

// pass is one run over everything, or one round. It has the locks.
type pass struct {
	*Reconciler
	dry     bool
	hurry   bool          // somebody waits for it
	wait    time.Duration // for a shard that another reconciler has
	turn    *ledger.Turn
	report  Report
	recent  time.Time     // when the last look at recent items ended; zero: none does
	took    time.Duration // that look
	pending []Drift       // found, not yet noted

	// What was done and not yet paid for.
	owed  int           // pairs compared
	spent time.Duration // in steps
}

func (r *Reconciler) begin(ctx context.Context, dry bool) (*pass, error) {
	step, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	turn, err := r.ledger.Turn(step)
	if err != nil {
		return nil, err
	}
	return &pass{Reconciler: r, dry: dry, turn: turn, report: Report{
		Run: rand.Text(), DryRun: dry, Started: time.Now().UTC(), Drifts: []Drift{}, Skipped: []Skipped{},
	}}, nil
}

func (p *pass) end(ctx context.Context) { p.turn.Close(ctx) }

// part does work on a shard under its lock, and notes what was found, also when
// the work ended with an error.
func (p *pass) part(ctx context.Context, shard int, work func(context.Context) error) {
	err := p.locked(ctx, shard, func(ctx context.Context) error {
		if err := work(ctx); err != nil {
			return err
		}
		return within(ctx, func(ctx context.Context) error { return p.ledger.Checked(ctx, shard) })
	})
	if err != nil {
		p.skip(shard, err)
	}
}

// skip says that a shard was not compared. A closed one holds nothing: its items
// come from the ledger when they are asked for.
func (p *pass) skip(shard int, err error) {
	if !errors.Is(err, counter.ErrClosed) {
		p.report.Skipped = append(p.report.Skipped, Skipped{Shard: shard, Why: err.Error(), err: err})
		p.meter.skipped.Inc()
	}
}

func (p *pass) locked(ctx context.Context, shard int, work func(context.Context) error) (err error) {
	if err := p.take(ctx, shard); err != nil {
		return err
	}
	last := context.WithoutCancel(ctx) // what was found and locked is tidied up all the same
	defer func() {
		err = errors.Join(err, within(last, func(ctx context.Context) error { return p.turn.Give(ctx, shard) }))
	}()
	return errors.Join(work(ctx), within(last, p.note))
}

// take locks a shard. A round leaves one that another reconciler has to it; a
// single pass waits, since nobody else will report to its caller.
func (p *pass) take(ctx context.Context, shard int) error {
	deadline := time.Now().Add(p.wait)
	for {
		var taken bool
		err := within(ctx, func(ctx context.Context) (err error) {
			taken, err = p.turn.Take(ctx, shard)
			return err
		})
		switch {
		case err != nil || taken:
			return err
		case time.Now().After(deadline):
			return ErrTaken
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// found takes a finding; note writes them down.
func (p *pass) found(d Drift) {
	p.pending = append(p.pending, d)
	p.report.Drifts = append(p.report.Drifts, d)
	p.meter.found(d)
}

func (p *pass) note(ctx context.Context) error {
	if len(p.pending) == 0 || p.dry {
		p.pending = nil
		return nil
	}
	repairs := make([]ledger.Repair, len(p.pending))
	for i, d := range p.pending {
		repairs[i] = d.repair(p.report.Run)
	}
	err := p.ledger.Note(ctx, repairs)
	if err == nil {
		p.pending = nil
	}
	return err
}

// late reports whether the recently changed items should be looked at again. They
// take half of the time at most.
func (p *pass) late() bool {
	return !p.recent.IsZero() && time.Since(p.recent) > max(p.opt.Every, p.took)
}

// recents looks at the items that drains have seen lately, in all shards.
func (p *pass) recents(ctx context.Context) {
	start := time.Now()
	defer func() { p.recent, p.took = time.Now(), time.Since(start) }()
	for shard := range p.log.Shards() {
		err := p.locked(ctx, shard, func(ctx context.Context) error {
			var items []string
			err := p.step(ctx, func(ctx context.Context) (err error) {
				items, err = p.log.Recent(ctx, shard, recentMost)
				return err
			})
			if err != nil {
				return err
			}
			return p.compare(ctx, shard, items)
		})
		if err != nil && !errors.Is(err, ErrTaken) {
			p.skip(shard, fmt.Errorf("recently changed items: %w", err))
		}
	}
}

// shard compares all resident items of a shard.
func (p *pass) shard(ctx context.Context, shard int) error {
	// A closed shard, and a log that has lost its end, are found also where nothing
	// else differs.
	switch err := p.chunk(ctx, shard, nil); {
	case errors.Is(err, counter.ErrClosed): // then it holds nothing
		return nil
	case err != nil:
		return err
	}
	if err := p.refs(ctx, shard); err != nil {
		return err
	}
	var cursor, next uint64
	for {
		var items []string
		err := p.step(ctx, func(ctx context.Context) (err error) {
			items, next, err = p.log.Resident(ctx, shard, cursor)
			return err
		})
		if err != nil {
			return err
		}
		if err := p.compare(ctx, shard, items); err != nil {
			return err
		}
		if cursor = next; cursor == 0 {
			return nil
		}
		if p.late() {
			p.recents(ctx) // of this shard, too: its lock is the pass' already
		}
	}
}

// compare compares items of a shard: all of them at a glance, then under a pin
// those that are not alike.
func (p *pass) compare(ctx context.Context, shard int, items []string) error {
	for some := range slices.Chunk(items, chunkItems) {
		others, err := p.unlike(ctx, shard, some)
		if err == nil && len(others) > 0 {
			err = p.chunk(ctx, shard, others)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// chunk compares some items of a shard under one pin. When the pin has ended it notes
// what it found, and rests.
func (p *pass) chunk(ctx context.Context, shard int, items []string) error {
	c := &comparison{pass: p, shard: shard}
	err := c.pinned(ctx, items)
	return errors.Join(err, within(context.WithoutCancel(ctx), p.note), c.pay(ctx))
}

// looked counts what was compared.
func (p *pass) looked(items, pairs int) {
	p.report.Items += int64(items)
	p.meter.items.Add(float64(items))
	p.report.Pairs += int64(pairs)
	p.meter.pairs.Add(float64(pairs))
	p.owed += pairs
}

func (c *comparison) pinned(ctx context.Context, items []string) error {
	err := within(ctx, func(ctx context.Context) (err error) {
		c.pin, err = c.log.Pin(ctx, c.shard, items)
		return err
	})
	if err != nil {
		return err
	}
	defer func() { _ = within(context.WithoutCancel(ctx), c.pin.Release) }() // it ends by itself, too
	if err := c.settle(ctx, c.shard, c.pin); err != nil {
		return err
	}
	for len(items) > 0 {
		n := min(len(items), lookItems)
		if err := c.items(ctx, items[:n]); err != nil {
			return err
		}
		items = items[n:]
	}
	return nil
}
