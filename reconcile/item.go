package reconcile

import (
	"context"
	"errors"
	"fmt"
	"time"

	"plusone/hotpath/counter"
	"plusone/hotpath/like"
	"plusone/tasks/ledger"
)

// Item compares one item now, the books first, and repairs what it finds, as a pass
// does. That somebody asked for it is kept among the item's acts. It waits for a
// reconciler that has the shard for no longer than Settle. Errors: like.ErrBadID,
// ErrTaken, ErrLag, like.ErrUnavailable; what was repaired by then is in the report.
func (r *Reconciler) Item(ctx context.Context, item string, by ledger.By) (Report, error) {
	if err := like.CheckItem(item); err != nil {
		return Report{}, err
	}
	err := within(ctx, func(ctx context.Context) error { return r.ledger.NoteItem(ctx, item, ledger.ActReconcile, by) })
	if err != nil {
		return Report{}, err
	}
	p, err := r.begin(ctx, false)
	if err != nil {
		return Report{}, err
	}
	defer p.end(ctx)
	p.wait, p.hurry = r.opt.Settle, true
	shard, only := counter.ShardOf(item, r.log.Shards()), []string{item}
	err = p.locked(ctx, books, func(ctx context.Context) error {
		return within(ctx, func(ctx context.Context) error { return p.bookPage(ctx, only) })
	})
	if err == nil {
		err = p.locked(ctx, shard, func(ctx context.Context) error { return p.compare(ctx, shard, only) })
	}
	if errors.Is(err, counter.ErrClosed) { // then Redis holds nothing of it
		err = nil
	}
	if err != nil {
		err = fmt.Errorf("reconcile %s: %w", item, err)
	}
	p.report.Took = time.Since(p.report.Started)
	return p.report, err
}
