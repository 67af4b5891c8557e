package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"plusone/hotpath/counter"
	"plusone/hotpath/like"
	"plusone/tasks/ledger"
)

// Options say how fast the reconciler works. The zero value of each means its
// default.
type Options struct {
	Every  time.Duration // between looks at recently changed items; 10 s
	Full   time.Duration // between complete passes over a shard; 5 min
	Rate   int           // pairs compared a second, at most; 0: what takes a round a 50th of the time, and a single pass has no bound
	Settle time.Duration // how long the ledger may take to catch up with a pin; 10 s

	// Ring asks for a drain of a shard. It must not block.
	Ring func(shard int)
	// Metrics, where to register; nil: nowhere.
	Metrics prometheus.Registerer
}

func (o Options) withDefaults() Options {
	if o.Every == 0 {
		o.Every = 10 * time.Second
	}
	if o.Full == 0 {
		o.Full = 5 * time.Minute
	}
	if o.Settle == 0 {
		o.Settle = 10 * time.Second
	}
	if o.Ring == nil {
		o.Ring = func(int) {}
	}
	return o
}

// Reconciler compares both sides. It is safe for concurrent use and owns
// nothing that needs closing.
type Reconciler struct {
	log    *counter.Log
	ledger *ledger.Ledger
	opt    Options
	pace   *rate.Limiter // of those whose rate is set
	meter  *meter
}

// New returns a Reconciler of the logs' shards.
func New(log *counter.Log, led *ledger.Ledger, opt Options) *Reconciler {
	opt = opt.withDefaults()
	return &Reconciler{
		log: log, ledger: led, opt: opt,
		pace: rate.NewLimiter(rate.Limit(opt.Rate), max(opt.Rate/10, 2*pageUsers)), meter: newMeter(opt.Metrics),
	}
}

// Once compares everything once, whoever did so before, and repairs what it
// finds unless dry. Shards that could not be compared are named in the report
// and, except those that another reconciler has all the time, in the error.
func (r *Reconciler) Once(ctx context.Context, dry bool) (Report, error) {
	p, err := r.begin(ctx, dry)
	if err != nil {
		return Report{}, err
	}
	defer p.end(ctx)
	p.wait, p.hurry = r.opt.Settle, true
	p.part(ctx, books, p.books)
	for shard := range r.log.Shards() {
		p.part(ctx, shard, func(ctx context.Context) error { return p.shard(ctx, shard) })
	}
	p.report.Took = time.Since(p.report.Started)
	return p.report, p.report.err()
}

// Run reconciles until ctx ends: every Every the items that changed recently,
// and in between all others, each shard again after Full.
func (r *Reconciler) Run(ctx context.Context) error {
	for {
		if err := r.round(ctx); err != nil && ctx.Err() == nil {
			slog.Warn("reconcile: a round failed", "error", err)
		}
		// Jitter, so that several reconcilers do not keep meeting.
		wait := r.opt.Every + rand.N(r.opt.Every/10+1)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// round looks at recent items, then at the shards whose turn has come.
func (r *Reconciler) round(ctx context.Context) error {
	p, err := r.begin(ctx, false)
	if err != nil {
		return err
	}
	defer p.end(ctx)
	r.freezes(ctx)
	p.recents(ctx)
	for _, shard := range p.order() {
		var done bool
		err := within(ctx, func(ctx context.Context) (err error) {
			done, err = r.ledger.CheckedWithin(ctx, shard, r.opt.Full)
			return err
		})
		if err != nil {
			return err
		}
		if done {
			continue
		}
		p.part(ctx, shard, func(ctx context.Context) error {
			if shard == books {
				return p.books(ctx)
			}
			return p.shard(ctx, shard)
		})
		if p.late() {
			p.recents(ctx)
		}
	}
	return p.report.err()
}

// books stands for a shard's number where the ledger checks itself.
const books = -1

// order is the books first, then the shards from a random one on.
func (p *pass) order() []int {
	n := p.log.Shards()
	first, all := rand.N(n), []int{books}
	for i := range n {
		all = append(all, (first+i)%n)
	}
	return all
}

// settle waits until the ledger has everything up to the pin.
func (r *Reconciler) settle(ctx context.Context, shard int, pin *counter.Pin) error {
	deadline := time.Now().Add(r.opt.Settle)
	ctx, cancel := context.WithDeadline(ctx, deadline.Add(stepTime))
	defer cancel()
	for {
		known, err := r.ledger.Bounds(ctx, shard)
		if err != nil {
			return err
		}
		if known.End > pin.At { // entries that came since, or a log that has lost its end
			closed, err := r.log.CloseIfBehind(ctx, shard, known.End)
			if closed {
				err = counter.ErrClosed
			}
			if err != nil || known.Watermark > pin.At {
				return err
			}
		}
		pending, err := pin.Pending(ctx, known.Watermark)
		if err != nil || !pending {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("shard %d: %w", shard, ErrLag)
		}
		r.opt.Ring(shard)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

var (
	// ErrLag: the ledger did not catch up with the log in time, so that nothing
	// could be compared. No worker may be running.
	ErrLag = errors.New("the ledger lags behind the log (is a worker running?)")
	// ErrTaken: another reconciler has the shard.
	ErrTaken = errors.New("another reconciler is at it")
)

// newer reports whether a row was changed after the pin, so that a difference
// proves nothing.
func newer(v like.Version, pin *counter.Pin) bool { return v > pin.At }
