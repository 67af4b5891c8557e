package tasks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"plusone/hotpath/counter"
	"plusone/hotpath/like"
	"plusone/tasks/ledger"
)

const (
	// batchTime bounds one transaction.
	batchTime = 30 * time.Second
	// beginTime bounds its beginning, which waits for no lock: a Postgres that is
	// silent must not keep doorbells busy for long.
	beginTime = 3 * time.Second
	// drainTime is after how long a drain of a long log makes room for others.
	drainTime = 20 * time.Second
	// trimTime bounds a trim.
	trimTime = 2 * time.Second
)

// ErrUnfinished: the log has grown meanwhile, or is longer than one drain may take.
var ErrUnfinished = errors.New("there is more to drain")

// Drainer moves logs into the ledger. It is safe for concurrent use; of two
// drains of one shard, in any two processes, one does nothing.
//
// The order of a batch's writes, and what a crash after each leaves behind:
//
//	rows, counts, dead letters   nothing: the transaction is gone
//	undo in Redis of a bad row   the pair is back where the ledger has it; the next drain
//	                             refuses the row again and finds nothing to undo
//	commit                       entries in the log below the watermark: never read again,
//	                             trimmed by the next drain or sweep
//	trim                         nothing to do
type Drainer struct {
	log      *counter.Log
	ledger   *ledger.Ledger
	window   time.Duration
	metrics  drainMetrics
	patience time.Duration // that one transaction may take
	trail    *Trail
	sizes    sync.Map // shard → changes that its next batch takes, where that is not batchRows
}

// NewDrainer returns a Drainer that folds what it moves into notifications of
// window each, or into none when window is 0. It registers plusone_drained_… and
// plusone_dead_letters_total.
func NewDrainer(log *counter.Log, l *ledger.Ledger, window time.Duration, reg prometheus.Registerer) *Drainer {
	return &Drainer{log: log, ledger: l, window: window, patience: batchTime, metrics: newDrainMetrics(reg)}
}

// Along makes the drainer follow a trail.
func (d *Drainer) Along(t *Trail) *Drainer {
	d.trail = t
	return d
}

// Drain moves what the shard's log has above the watermark, in batches, up to
// the end that it has then. It returns nil at once when another drain is at it.
//
// What is appended meanwhile is left to the next drain: following live traffic
// would make a commit of every few likes, and hold a worker all the time.
//
// Errors: ErrUnfinished, like.ErrUnavailable when a store does not answer,
// like.ErrNotFound when the ledger has no such shard. Batches that were
// committed before an error stay.
func (d *Drainer) Drain(ctx context.Context, shard int) error {
	start, pageLen := time.Now(), firstPage
	for {
		b := batch{Drainer: d, shard: shard, pageLen: pageLen, size: d.size(shard)}
		upTo, err := b.run(ctx)
		d.learn(ctx, &b, err)
		switch {
		case errors.Is(err, ledger.ErrLocked):
			return nil
		case err != nil:
			return fmt.Errorf("drain shard %d: %w", shard, err)
		}
		more, err := d.settle(ctx, shard, upTo, b.deltas)
		switch {
		case !b.full && err == nil && more:
			return ErrUnfinished
		case !b.full:
			return err
		}
		if time.Since(start) > drainTime {
			return ErrUnfinished
		}
		pageLen = b.pageLen
	}
}

// size is how many changes a batch of the shard takes.
func (d *Drainer) size(shard int) int {
	if n, ok := d.sizes.Load(shard); ok {
		return n.(int)
	}
	return batchRows
}

// learn makes batches smaller that did not come to their end in time: a batch
// full of rows that the ledger refuses takes several round trips for each. One
// that succeeds makes the next larger again.
func (d *Drainer) learn(ctx context.Context, b *batch, err error) {
	switch {
	case err == nil && b.size < batchRows:
		d.sizes.Store(b.shard, min(2*b.size, batchRows))
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil && len(b.entries) > 0:
		d.sizes.Store(b.shard, max(b.size/8, 1))
	}
}

// settle drops what the ledger has, and tells the reconciler which items to look
// at first. Entries that stay because it failed are skipped by the watermark and
// dropped by the next drain or sweep; hints that are lost cost it time. It reports
// whether the log has entries above upTo: their doorbell may have come while this
// drain held the lock.
func (d *Drainer) settle(ctx context.Context, shard int, upTo like.Version, deltas []ledger.Delta) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, trimTime)
	defer cancel()
	items := make([]string, len(deltas))
	for i, delta := range deltas {
		items[i] = delta.Item
	}
	more, err := d.log.Settle(ctx, shard, upTo, items)
	if err != nil {
		slog.WarnContext(ctx, "trim a drained log", "shard", shard, "error", err)
	}
	return more, err
}

// batch is one transaction of a drain.
type batch struct {
	*Drainer
	*ledger.Batch
	shard   int
	pageLen int // entries to read at once
	size    int // changes to take, at least one entry
	entries []counter.Entry
	full    bool // there may be more entries
	deltas  []ledger.Delta
	applied int64
	letters int
}

// run moves one batch, none when the log ends at the watermark, and returns the
// version up to which the ledger has the log.
func (b *batch) run(ctx context.Context) (upTo like.Version, err error) {
	ctx, cancel := context.WithTimeout(ctx, b.patience)
	defer cancel()
	began := time.Now()
	defer b.metrics.took(began)
	if err := b.begin(ctx); err != nil {
		return 0, err
	}
	defer b.Rollback(ctx)
	if err := b.read(ctx, b.Watermark()); err != nil || len(b.entries) == 0 {
		return b.Watermark(), err
	}
	upTo = b.entries[len(b.entries)-1].Version
	return upTo, b.move(ctx, began, upTo)
}

func (b *batch) begin(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, beginTime)
	defer cancel()
	if b.Batch, err = b.ledger.Begin(ctx, b.shard); err == nil {
		b.Fold(b.window)
	}
	return err
}

// move is everything from the first write to the commit.
func (b *batch) move(ctx context.Context, began time.Time, upTo like.Version) error {
	rows, votes := fold(b.entries)
	if err := b.apply(ctx, rows); err != nil {
		return err
	}
	if err := b.applyVotes(ctx, votes); err != nil {
		return err
	}
	if err := b.keepUnreadable(ctx); err != nil {
		return err
	}
	ended := b.trail.drain(ctx, b, began, upTo)
	err := b.Finish(ctx, upTo)
	ended(err)
	if err != nil {
		return err
	}
	b.metrics.moved(len(rows)+len(votes), b.applied, b.letters)
	return nil
}
