package reconcile

import (
	"context"
	"log/slog"
)

// freezes brings Redis what the ledger says of frozen items, where it has not heard
// of it: whoever froze them could not reach it then.
func (r *Reconciler) freezes(ctx context.Context) {
	err := within(ctx, func(ctx context.Context) error {
		newest, frozen, err := r.ledger.FreezeMarks(ctx, r.log.Shards())
		if err != nil {
			return err
		}
		r.meter.frozen.Set(float64(frozen))
		shards, err := r.log.Thawed(ctx, newest)
		for _, shard := range shards {
			if err := r.log.BringFreezes(ctx, r.ledger, shard); err != nil {
				return err
			}
			slog.InfoContext(ctx, "reconcile: Redis had not heard of changes of frozen items", "shard", shard)
		}
		return err
	})
	if err != nil && ctx.Err() == nil {
		slog.WarnContext(ctx, "reconcile: frozen items could not be compared", "error", err)
	}
}
