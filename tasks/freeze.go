package tasks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"plusone/hotpath/counter"
	"plusone/hotpath/like"
	"plusone/tasks/ledger"
)

// Freezer freezes items: in the ledger, which is the truth, then in Redis, which
// enforces it.
//
//	ledger ─▶ Redis hears of it ─▶ done
//	            └── likes are written straight to the ledger: done, the way back to
//	                Redis tells it first
//
// When it is done no later like is accepted, anywhere. A crash between the two, or a
// Redis that does not answer in time while likes go there, leaves the change in the
// ledger: Redis hears of it when a shard opens, when a process meets another server,
// and from the reconciler within a round. To repeat it is harmless.
type Freezer struct {
	Log    *counter.Log
	Ledger *ledger.Ledger
	Wait   time.Duration // how long Redis may take to answer
}

// ErrNotYet: the ledger has it, and Redis could not be told.
var ErrNotYet = errors.New("kept in Postgres, but Redis does not answer: likes may still be accepted until it has heard of it, " +
	"within a round of the reconciler")

// Freeze freezes items, or unfreezes them. Errors: ErrNotYet, like.ErrUnavailable.
func (f *Freezer) Freeze(ctx context.Context, items []string, frozen bool, by ledger.By) error {
	direct, err := f.Ledger.SetFrozen(ctx, items, counter.Bucket, frozen, by)
	if err != nil || direct {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, f.Wait)
	defer cancel()
	for {
		failed := f.bring(ctx, items)
		if failed == nil || errors.Is(f.Ledger.CheckMode(ctx), like.ErrElsewhere) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ErrNotYet, failed)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// bring tells the items' shards.
func (f *Freezer) bring(ctx context.Context, items []string) error {
	shards := make([]int, len(items))
	for i, item := range items {
		shards[i] = counter.ShardOf(item, f.Log.Shards())
	}
	slices.Sort(shards)
	for _, shard := range slices.Compact(shards) {
		if err := f.Log.BringFreezes(ctx, f.Ledger, shard); err != nil {
			return err
		}
	}
	return nil
}
