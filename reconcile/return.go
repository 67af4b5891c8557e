package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"plusone/hotpath/counter"
	"plusone/hotpath/like"
	"plusone/tasks/ledger"
)

const (
	returnEvery = 100 * time.Millisecond // looks whether it is time
	returnTime  = 30 * time.Second       // of one try
	returnPause = time.Minute            // at most, between tries that fail
	drainWait   = 10 * time.Second       // for the drains to come to the logs' ends
	dropPage    = 1000                   // items that are read at once
	dropRounds  = 20                     // at most, before the gate is shut
)

// Returner takes writes back to Redis when it has answered for long enough. Any
// number may run at once; one at a time tries.
//
// Its steps, and what a crash after each leaves behind:
//
//	drain           nothing
//	drop            direct items that are cold already: they would load again as they are
//	shut            nothing: the ledger opens the gate when the connection ends
//	drop the rest   as above
//	frozen items    what Redis hears again and again
//	marker          an entry in a log that says nothing; the ledger still has the mode,
//	                and its next version is above the marker
//	commit          writes go to Redis, as soon as each process has polled
//
// Until the commit nobody writes to Redis, after it nobody writes directly, and
// the marker's version becomes the watermark. So a Redis that loses any of it (an
// old copy, a failover, a power loss) is behind the ledger from then on, and its
// shards are closed by whoever meets it; one that is started again during the try
// ends the try.
type Returner struct {
	log    *counter.Log
	ledger *ledger.Ledger
	fence  *counter.Fence
	ring   func(shard int)

	pause time.Duration // before the next try
	next  time.Time
}

// NewReturner returns a Returner. ring asks for a drain of a shard and must not
// block.
func NewReturner(log *counter.Log, l *ledger.Ledger, fence *counter.Fence, ring func(shard int)) *Returner {
	return &Returner{log: log, ledger: l, fence: fence, ring: ring}
}

// Run takes writes back whenever it is time, until ctx ends.
func (r *Returner) Run(ctx context.Context) error {
	tick := time.NewTicker(returnEvery)
	defer tick.Stop()
	for {
		if r.due() {
			r.try(ctx)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (r *Returner) due() bool {
	direct, patience := r.fence.Direct()
	if !direct {
		r.pause = 0
	}
	return direct && r.fence.Steady() >= patience && time.Now().After(r.next)
}

// try makes one try; after a failure the next one waits twice as long.
func (r *Returner) try(ctx context.Context) {
	trying, cancel := context.WithTimeout(ctx, returnTime)
	defer cancel()
	start := time.Now()
	items, err := r.back(trying)
	switch {
	case err == nil:
		slog.InfoContext(ctx, "likes are written to Redis again", "items", items, "took", time.Since(start))
		r.fence.Poll()
	case errors.Is(err, ledger.ErrLocked), errors.Is(err, like.ErrElsewhere), ctx.Err() != nil:
	default:
		r.pause = min(max(2*r.pause, time.Second), returnPause)
		r.next = time.Now().Add(r.pause)
		slog.WarnContext(ctx, "likes are still written to Postgres: the return to Redis failed", "error", err, "next_try", r.pause)
	}
}

// homecoming is one try.
type homecoming struct {
	*Returner
	*ledger.Return
	marks map[int]like.Version
	last  map[int]ledger.DirectItem // per shard: dropped up to here
	items int
}

func (r *Returner) back(ctx context.Context) (items int, err error) {
	ret, err := r.ledger.BeginReturn(ctx)
	if err != nil {
		return 0, err
	}
	defer ret.Rollback(ctx)
	h := &homecoming{Returner: r, Return: ret, last: map[int]ledger.DirectItem{}}
	server, err := r.log.Server(ctx)
	if err != nil {
		return 0, err
	}
	if err := h.drained(ctx); err != nil {
		return 0, err
	}
	for range dropRounds {
		before := h.items
		if err := h.drop(ctx); err != nil {
			return 0, err
		}
		if h.items-before < dropPage {
			break
		}
	}
	return h.items, h.finish(ctx, server)
}

// drained waits until the ledger has all that the logs hold.
func (h *homecoming) drained(ctx context.Context) (err error) {
	for deadline := time.Now().Add(drainWait); ; {
		if h.marks, err = h.Watermarks(ctx); err != nil {
			return err
		}
		shard, err := h.log.Waiting(ctx, h.marks)
		if err != nil || shard < 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("shard %d: %w", shard, ErrLag)
		}
		for s := range h.log.Shards() {
			h.ring(s)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// drop lets Redis forget the items that were written directly since the last call.
func (h *homecoming) drop(ctx context.Context) error {
	for shard := range h.log.Shards() {
		for {
			page, err := h.Items(ctx, shard, h.last[shard], dropPage)
			if err != nil || len(page) == 0 {
				if err != nil {
					return err
				}
				break
			}
			ids := make([]string, len(page))
			for i, item := range page {
				ids[i] = item.ID
			}
			if err := h.log.Drop(ctx, shard, h.marks[shard], ids); err != nil {
				return err
			}
			h.items += len(page)
			h.last[shard] = page[len(page)-1]
		}
	}
	return nil
}

// finish keeps the writers out, does the rest, and changes the mode.
func (h *homecoming) finish(ctx context.Context, server string) error {
	all, err := h.Shut(ctx)
	if err != nil {
		return err
	}
	for shard, known := range all {
		h.marks[shard] = known.Watermark
	}
	if err := h.drop(ctx); err != nil {
		return err
	}
	ends := make(map[int]like.Version, len(all))
	for shard := range h.log.Shards() { // nobody freezes meanwhile: that waits for the gate
		if err := h.log.BringFreezes(ctx, h.ledger, shard); err != nil {
			return err
		}
	}
	for shard, known := range all {
		// A log that has lost its end belongs to a Redis that has lost more: its items
		// can't be trusted.
		if _, err := h.log.CloseIfBehind(ctx, shard, known.End); err != nil {
			return err
		}
		if ends[shard], err = h.log.Rejoin(ctx, shard, known.Watermark, known.Floor); err != nil {
			return err
		}
	}
	now, err := h.log.Server(ctx)
	switch {
	case err != nil:
		return err
	case now != server:
		return fmt.Errorf("%w: redis was started again", like.ErrUnavailable)
	}
	return h.Commit(ctx, ends)
}
