package saga

import (
	"context"
	"time"

	"plusone/hotpath/counter"
	"plusone/hotpath/like"
	"plusone/tasks/ledger"
)

const (
	drainPause = 100 * time.Millisecond // how long the first drain of what was taken back may take
	returnMost = 5 * time.Second        // the longest pause before the next look: it is our own stores that are looked at
	loadTries  = 6                      // looks in one turn at what Redis has to load first
	loadPause  = 5 * time.Millisecond   // after the first of them; it doubles
)

// takeBack makes the last step of sagas that all who had to have given back. What
// Redis lacks it has loaded, and looks again at once: by the next turn the janitor
// may have made it cold again.
func (e *Engine) takeBack(ctx context.Context, sagas []ledger.ClaimedSaga) error {
	for try := 0; len(sagas) > 0; try++ {
		lacking, err := e.lookBack(ctx, sagas)
		if err != nil || try == loadTries {
			return err
		}
		sagas = lacking
		if try > 0 && len(sagas) > 0 {
			if sleep(ctx, loadPause<<try); ctx.Err() != nil {
				return ctx.Err() // whoever is next looks again
			}
		}
	}
	return nil
}

// lookBack looks once, and returns those sagas for which Redis had to load something.
func (e *Engine) lookBack(ctx context.Context, sagas []ledger.ClaimedSaga) (lacking []ledger.ClaimedSaga, err error) {
	// Asked here, since an answer may take its time and locks are held below.
	writable := e.log.Writable(ctx)
	shards := make([]int, len(sagas))
	for i, s := range sagas {
		shards[i] = counter.ShardOf(s.Item, e.log.Shards())
	}
	r := retraction{Engine: e, writable: writable, unknown: map[string][]string{}}
	ctx, cancel := recording(ctx)
	defer cancel()
	recorded, err := e.records.ReturnSagas(ctx, sagas, shards, e.cfg.Window, r.undo, r.finish)
	e.moved(recorded)
	e.ring(r.shards...)
	r.load(ctx)
	return r.lacking, err
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// retraction is one batch of likes that are taken back.
type retraction struct {
	*Engine
	writable error                // why Redis must not be changed now
	shards   []int                // that are to be drained
	cold     []like.Op            // that have items loaded, and change nothing
	unknown  map[string][]string  // user → items that have to learn of them
	lacking  []ledger.ClaimedSaga // whose item Redis has to load, or which has to learn of the user
}

// undo takes likes back in Redis, while their pairs are locked in the ledger.
func (r *retraction) undo(ctx context.Context, returns []ledger.SagaReturn) (pauses []time.Duration, why []string) {
	ctx, cancel := context.WithTimeout(ctx, recordTime/2)
	defer cancel()
	pauses, why = make([]time.Duration, len(returns)), make([]string, len(returns))
	failed := r.writable
	for i, ret := range returns {
		s := ret.Saga
		pauses[i] = pause(drainPause, returnMost, s.Attempts)
		if failed == nil {
			shard := counter.ShardOf(s.Item, r.log.Shards())
			var came counter.Retracted
			change := like.Change{Item: s.Item, User: s.User, Liked: s.Liked, Version: s.Version}
			came, failed = r.log.Retract(ctx, shard, change, ret.After, r.mark(s))
			why[i] = r.sort(shard, s, came)
		}
		if failed != nil {
			why[i] = failed.Error()
		}
	}
	return pauses, why
}

// mark is what tells that a saga has taken a like back, which has used a unit of a
// quota; "" for others.
func (e *Engine) mark(s ledger.ClaimedSaga) string {
	if e.cfg.Quota && s.Liked && !s.Version.Direct() {
		return s.ID
	}
	return ""
}

// finish gives back the units of likes that their sagas have taken back: not of those
// that their users have unliked before, which is an unlike like any other. It does so before
// the ledger says that they are compensated, and what was given back is not given back
// again, so a crash costs nobody a unit.
func (r *retraction) finish(ctx context.Context, over []ledger.ClaimedSaga) (pauses []time.Duration, why []string) {
	ctx, cancel := context.WithTimeout(ctx, recordTime/2)
	defer cancel()
	pauses, why = make([]time.Duration, len(over)), make([]string, len(over))
	var failed error
	for i, s := range over {
		mark := r.mark(s)
		if mark == "" {
			continue
		}
		if failed == nil {
			failed = r.giveBack(ctx, s, mark)
		}
		if failed != nil {
			pauses[i], why[i] = pause(drainPause, returnMost, s.Attempts), failed.Error()
		}
	}
	return pauses, why
}

func (r *retraction) giveBack(ctx context.Context, s ledger.ClaimedSaga, mark string) error {
	was, err := r.log.WasRetracted(ctx, counter.ShardOf(s.Item, r.log.Shards()), mark)
	if err != nil || !was {
		return err
	}
	return r.log.GiveBack(ctx, s.User, s.Version, mark)
}

// sort notes what is to be done before the next look.
func (r *retraction) sort(shard int, s ledger.ClaimedSaga, came counter.Retracted) (why string) {
	switch came {
	case counter.RetractDone, counter.RetractNewer:
		r.shards = append(r.shards, shard)
	case counter.RetractCold, counter.RetractClosed:
		r.lacking = append(r.lacking, s)
		// Nobody has a saga's id, so nothing is there to be unliked.
		r.cold = append(r.cold, like.Op{Item: s.Item, User: s.ID, Want: like.NotLiked})
	case counter.RetractUnknown:
		r.lacking = append(r.lacking, s)
		r.unknown[s.User] = append(r.unknown[s.User], s.Item)
	case counter.RetractDamaged:
		return "what Redis has of the item is damaged"
	}
	return ""
}

// load has Redis load what it lacks. A failure is no loss: the next look finds it
// cold again.
func (r *retraction) load(ctx context.Context) {
	if len(r.cold) > 0 {
		_ = r.likes.Apply(ctx, r.cold, make([]like.Result, len(r.cold)))
	}
	for user, items := range r.unknown {
		_, _ = r.likes.Read(ctx, items, user)
	}
}
