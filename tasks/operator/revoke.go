package operator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"plusone/hotpath/counter"
	"plusone/hotpath/like"
	"plusone/tasks/ledger"
)

const (
	mostRounds = 8 // before giving up on users who go on liking
	mostTries  = 8 // of a page, before the rest is left to the next round
)

// What a mark says of a change; the revocation's id comes before it.
const (
	markTaken    = " taken"
	markReturned = " returned"
)

// revocation goes on with one that nobody works on, until it has ended or something
// holds it up.
func (o *Operator) revocation(ctx context.Context) error {
	if o.log.Writable(ctx) != nil {
		return nil
	}
	var r ledger.Revocation
	err := within(ctx, func(ctx context.Context) (err error) {
		r, err = o.ledger.ClaimRevocation(ctx, o.name, leaseTime)
		return err
	})
	if errors.Is(err, like.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	w := &work{Operator: o, r: r, warmed: map[int][]string{}}
	err = w.rounds(ctx)
	switch {
	case err == nil:
		slog.InfoContext(ctx, "a revocation has ended", "revocation", r.ID, "was", r.State)
		return nil
	case errors.Is(err, ledger.ErrNotClaimed):
		return nil
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), stepTime)
	defer cancel()
	pause := lookEvery
	if ctx.Err() != nil { // another worker may go on at once
		pause = 0
	}
	return errors.Join(err, o.ledger.HoldRevocation(last, r, o.name, err.Error()), o.ledger.ReleaseRevocation(last, r.ID, o.name, pause))
}

// work is a revocation that was claimed.
type work struct {
	*Operator
	r      ledger.Revocation
	warmed map[int][]string // items by shard that were loaded for it
}

func (w *work) hold(ctx context.Context) error { return w.ledger.HoldRevocation(ctx, w.r, w.name, "") }

// rounds goes through all, again and again until there is nothing left.
func (w *work) rounds(ctx context.Context) error {
	for {
		if err := w.begin(ctx); err != nil {
			return err
		}
		if err := w.pages(ctx); err != nil {
			return err
		}
		r, err := w.ledger.Revocation(ctx, w.r.ID)
		if err != nil {
			return err
		}
		w.r.Round, w.r.Found = r.Round, r.Found
		switch {
		case w.r.Found == 0 && w.r.Round > 1, w.r.Round >= mostRounds:
			return w.end(ctx)
		}
		if err := w.ledger.NextRound(ctx, w.r, w.name); err != nil {
			return err
		}
		w.r.After = ledger.RevokedAt{}
	}
}

func (w *work) end(ctx context.Context) error {
	if err := w.begin(ctx); err != nil { // so that no mark stays
		return err
	}
	w.cool(ctx)
	why := ""
	if w.r.Found > 0 {
		why = "the users go on liking: take away their access, then revoke again"
	}
	return w.ledger.EndRevocation(ctx, w.r, w.name, why)
}

// begin waits for the drains, so that the ledger knows all that was liked before, and
// records what a worker before has done without recording it.
func (w *work) begin(ctx context.Context) error {
	if err := w.drained(ctx, w.hold); err != nil {
		return err
	}
	return within(ctx, w.collect)
}

// collect records what marks tell, also of other revocations, and drops them.
func (w *work) collect(ctx context.Context) error {
	marks, err := w.log.Marks(ctx)
	if err != nil {
		return err
	}
	taken, returned, mine := map[string][]ledger.Revoked{}, map[string][]ledger.Revoked{}, map[string][]counter.Mark{}
	for _, m := range marks {
		p := ledger.Revoked{Item: m.Item, User: m.User, Version: m.ID}
		id, is := strings.CutSuffix(m.Owner, markTaken)
		if is {
			taken[id] = append(taken[id], p)
		} else {
			id = strings.TrimSuffix(m.Owner, markReturned)
			returned[id] = append(returned[id], p)
		}
		mine[id] = append(mine[id], m)
	}
	for id, marks := range mine {
		if err := w.ledger.NoteMarks(ctx, id, taken[id], returned[id]); err != nil {
			return err
		}
		if err := w.log.Unmark(ctx, marks); err != nil {
			return err
		}
	}
	return nil
}

// pages goes through the rest of a round.
func (w *work) pages(ctx context.Context) error {
	for more := true; more; {
		var page []ledger.Revoked
		var end ledger.RevokedAt
		err := within(ctx, func(ctx context.Context) (err error) {
			page, end, more, err = w.ledger.RevokePage(ctx, w.r, pageSize)
			return err
		})
		if err != nil {
			return err
		}
		if err := w.move(ctx, page); err != nil {
			return err
		}
		if !more && len(page) == 0 {
			return nil
		}
		if !more {
			end = w.r.After
		}
		if err := w.ledger.AdvanceRevocation(ctx, w.r, w.name, end, len(page)); err != nil {
			return err
		}
		w.r.After = end
	}
	return nil
}

// move moves a page, and what Redis had to load for it once more. What is left then
// the next round finds.
func (w *work) move(ctx context.Context, page []ledger.Revoked) error {
	if len(page) == 0 {
		return nil
	}
	if err := w.pace.WaitN(ctx, len(page)); err != nil {
		return err
	}
	for try := 0; len(page) > 0 && try < mostTries; try++ {
		var again []ledger.Moved
		var marks []counter.Mark
		err := within(ctx, func(ctx context.Context) (err error) {
			again, page, err = w.ledger.MoveRevoked(ctx, w.r, w.name, page, w.shards(page), func(ctx context.Context, rs []ledger.SagaReturn) (moved []ledger.Moved, err error) {
				moved, marks, err = w.retract(ctx, rs)
				return moved, err
			})
			return err
		})
		if err != nil {
			return err
		}
		if err := w.unmark(ctx, marks); err != nil {
			return err
		}
		page = w.toLoad(page, again)
		if len(page) > 0 {
			w.load(ctx, page)
		}
	}
	w.cool(ctx)
	return nil
}

// unmark drops marks whose changes are recorded, and has those drained.
func (w *work) unmark(ctx context.Context, marks []counter.Mark) error {
	if len(marks) == 0 {
		return nil
	}
	shards := make([]int, len(marks))
	for i, m := range marks {
		shards[i] = m.Shard
	}
	slices.Sort(shards)
	w.ring(slices.Compact(shards)...)
	return within(ctx, func(ctx context.Context) error { return w.log.Unmark(ctx, marks) })
}

// toLoad keeps the pairs that Redis has to load.
func (w *work) toLoad(page []ledger.Revoked, moved []ledger.Moved) (left []ledger.Revoked) {
	for i, p := range page {
		if moved[i].Load {
			left = append(left, p)
			shard := counter.ShardOf(p.Item, w.log.Shards())
			w.warmed[shard] = append(w.warmed[shard], p.Item)
		}
	}
	return left
}

func (w *work) shards(page []ledger.Revoked) []int {
	shards := make([]int, len(page))
	for i, p := range page {
		shards[i] = counter.ShardOf(p.Item, w.log.Shards())
	}
	return shards
}

// retract makes the opposite of changes, and marks what it does.
func (w *work) retract(ctx context.Context, rs []ledger.SagaReturn) (moved []ledger.Moved, marks []counter.Mark, err error) {
	owner := w.r.ID + markTaken
	if w.r.State == ledger.RevocationUndoing {
		owner = w.r.ID + markReturned
	}
	all := make([]counter.Retraction, len(rs))
	for i, r := range rs {
		all[i] = counter.Retraction{
			Shard: counter.ShardOf(r.Saga.Item, w.log.Shards()), After: r.After,
			Change: like.Change{Item: r.Saga.Item, User: r.Saga.User, Liked: r.Saga.Liked, Version: r.Saga.Version},
		}
	}
	states, ids, err := w.log.RetractAll(ctx, all, owner)
	if err != nil {
		return nil, nil, err
	}
	moved = make([]ledger.Moved, len(rs))
	for i, state := range states {
		a := all[i]
		switch state {
		case counter.RetractDone:
			moved[i].Version = ids[i]
			marks = append(marks, counter.Mark{Shard: a.Shard, Item: a.Change.Item, User: a.Change.User})
		case counter.RetractNewer:
			moved[i].Newer = true
		case counter.RetractDamaged:
			return nil, nil, fmt.Errorf("what Redis has of item %s is damaged: the reconciler mends it", a.Change.Item)
		default:
			moved[i].Load = true
		}
	}
	return moved, marks, nil
}

// coolMost is from how many items on those that were loaded are made cold again.
const coolMost = 512

// cool makes items cold again. Those that the log still names stay as they are, and
// are the janitor's.
func (w *work) cool(ctx context.Context) {
	for shard, items := range w.warmed {
		if len(items) < coolMost && w.r.After != (ledger.RevokedAt{}) {
			continue
		}
		_, _ = w.log.Evict(ctx, shard, items)
		delete(w.warmed, shard)
	}
}
