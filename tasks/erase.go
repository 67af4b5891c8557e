package tasks

import (
	"context"
	"errors"
	"fmt"
	"time"

	"plusone/hotpath/counter"
	"plusone/hotpath/like"
	"plusone/tasks/ledger"
)

// Applier applies ops, as counter.Counter does.
type Applier interface {
	Apply(ctx context.Context, ops []like.Op, results []like.Result) error
}

// Eraser removes a person from both sides while traffic runs. It takes the likes
// back by the same door as everybody, so that counts, versions and notifications
// hold, and deletes the rest when the ledger has caught up:
//
//	look ─▶ unlike ─▶ wait for the drain, trim ─▶ wait for participants ─▶ delete rows ─▶ scrub sets ─▶ look …
//
// until a look finds nothing. Nothing is remembered between the steps: after a
// crash, run it again. What the person likes meanwhile is found by the next look
// and goes, too; what is liked after the last look is new and stays.
type Eraser struct {
	Likes  Applier
	Log    *counter.Log
	Ledger *ledger.Ledger
	Ring   func(shards ...int) // asks for drains
	Wait   time.Duration       // how long a worker may take for them
}

// ErrStillThere: every look has found something new.
var ErrStillThere = errors.New("the user goes on liking")

// Traces is what a look has found of a user, on both sides.
type Traces struct {
	Ledger  ledger.UserRows
	Redis   counter.Traces
	Entries int // of the logs
}

// Empty reports whether the look has found nothing.
func (t Traces) Empty() bool { return t.Ledger.Len() == 0 && t.Redis.Len() == 0 && t.Entries == 0 }

// Erasure is what was done.
type Erasure struct {
	Looks   int `json:"looks"`
	Unliked int `json:"unliked"` // likes taken back
	Sets    int `json:"sets"`    // in Redis, that knew the user otherwise

	Tombstones  int64 `json:"tombstones"`
	DeadLetters int64 `json:"dead_letters"`
	Repairs     int64 `json:"repairs"`
	Sagas       int64 `json:"sagas"`
	Revoked     int64 `json:"revoked"` // rows of revocations
}

const (
	eraseLooks = 8   // before giving up on somebody who goes on liking
	eraseOps   = 256 // unlikes at once
	// stepTime bounds one exchange of an erasure with a store; a look at the whole
	// of one is bounded by its caller's context alone.
	stepTime = 10 * time.Second
)

// Look finds what there is of a user, and changes nothing.
func (e *Eraser) Look(ctx context.Context, user string) (t Traces, err error) {
	if t.Ledger, err = e.Ledger.UserRows(ctx, user); err != nil {
		return t, err
	}
	if t.Redis, err = e.Log.Traces(ctx, user); err != nil {
		return t, err
	}
	ends, err := e.ends(ctx)
	for shard, end := range ends {
		var n int
		if n, err = e.Log.Mentions(ctx, shard, user, end); err != nil {
			return t, err
		}
		t.Entries += n
	}
	return t, err
}

// Erase removes a user. What was done is told also beside an error. Errors:
// ErrStillThere, like.ErrElsewhere while Redis is away and likes are written
// straight to the ledger, like.ErrUnavailable; all call for another run.
func (e *Eraser) Erase(ctx context.Context, user string) (done Erasure, err error) {
	for done.Looks = 1; done.Looks <= eraseLooks; done.Looks++ {
		found, err := e.Look(ctx, user)
		if err != nil || found.Empty() {
			return done, err
		}
		if err := e.round(ctx, user, found, &done); err != nil {
			return done, err
		}
	}
	return done, ErrStillThere
}

func (e *Eraser) round(ctx context.Context, user string, found Traces, done *Erasure) error {
	if err := e.unlike(ctx, user, found, done); err != nil {
		return err
	}
	if err := e.drained(ctx, user); err != nil {
		return err
	}
	now, err := e.agreed(ctx, user) // the unlikes have left tombstones
	if err != nil {
		return err
	}
	shards := make([]int, len(now.Removed))
	for i, item := range now.Removed {
		shards[i] = counter.ShardOf(item, e.Log.Shards())
	}
	gone, err := e.Ledger.EraseUser(ctx, user, now.Removed, shards)
	done.Tombstones += gone.Tombstones
	done.DeadLetters += gone.DeadLetters
	done.Repairs += gone.Repairs
	done.Sagas += gone.Sagas
	done.Revoked += gone.Revoked
	if err != nil {
		return err
	}
	left, err := e.Log.Traces(ctx, user)
	if err != nil {
		return err
	}
	sets, err := e.Log.Scrub(ctx, user, left)
	done.Sets += sets
	return err
}

// unlike takes likes back. One that Redis has lost and the ledger still has is
// liked first, by the same call, so that the log tells the ledger of its end.
func (e *Eraser) unlike(ctx context.Context, user string, found Traces, done *Erasure) error {
	inLedger := map[string]bool{}
	for _, item := range found.Ledger.Liked {
		inLedger[item] = true
	}
	items := found.Ledger.Liked
	for _, item := range found.Redis.Liked {
		if !inLedger[item] && like.CheckItem(item) == nil { // the reconciler drops others
			items = append(items, item)
		}
	}
	for len(items) > 0 {
		n := min(len(items), eraseOps)
		lost, err := e.apply(ctx, user, items[:n], done, like.NotLiked)
		if err != nil {
			return err
		}
		lost = only(lost, inLedger)
		if _, err := e.apply(ctx, user, lost, done, like.Liked, like.NotLiked); err != nil {
			return err
		}
		items = items[n:]
	}
	return nil
}

func only(items []string, in map[string]bool) (kept []string) {
	for _, item := range items {
		if in[item] {
			kept = append(kept, item)
		}
	}
	return kept
}

// apply wants the same states of every item, one after the other, and returns the
// items that the last of them did not change.
func (e *Eraser) apply(ctx context.Context, user string, items []string, done *Erasure, wants ...like.Want) (same []string, err error) {
	if len(items) == 0 {
		return nil, nil
	}
	ops := make([]like.Op, 0, len(wants)*len(items))
	for _, item := range items {
		for _, w := range wants {
			ops = append(ops, like.Op{Item: item, User: user, Want: w})
		}
	}
	results := make([]like.Result, len(ops))
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	if err := e.Likes.Apply(ctx, ops, results); err != nil {
		return nil, err
	}
	for i, item := range items {
		r := results[(i+1)*len(wants)-1]
		switch {
		case r.Err != nil:
			err = errors.Join(err, r.Err)
		case r.Changed:
			done.Unliked++
		default:
			same = append(same, item)
		}
	}
	return same, err
}

// drained waits until the ledger has what the logs hold now and no entry of it
// names the user any more; a reconciler at work may hold entries for a while.
func (e *Eraser) drained(ctx context.Context, user string) error {
	ends, err := e.ends(ctx)
	if err != nil {
		return err
	}
	deadline := time.Now().Add(e.Wait)
	for shard, end := range ends {
		for {
			gone, err := e.gone(ctx, shard, user, end)
			if err != nil {
				return err
			}
			if gone {
				break
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("the log of shard %d is not drained: is a worker running? Then run this again", shard)
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
	return nil
}

// agreed waits until participants have agreed to the unlikes, or those are back,
// and returns what the ledger has then.
func (e *Eraser) agreed(ctx context.Context, user string) (ledger.UserRows, error) {
	for deadline := time.Now().Add(e.Wait); ; {
		now, err := e.Ledger.UserRows(ctx, user)
		if err != nil || now.OpenSagas == 0 {
			return now, err
		}
		if time.Now().After(deadline) {
			return now, fmt.Errorf("%d sagas of the user have not ended: do the participants answer? See plusone saga list. Then run this again", now.OpenSagas)
		}
		select {
		case <-ctx.Done():
			return now, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// gone reports whether a shard's log up to end is in the ledger and trimmed, as
// far as it names the user.
func (e *Eraser) gone(ctx context.Context, shard int, user string, end like.Version) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	marks, err := e.Ledger.Watermarks(ctx)
	if err != nil {
		return false, err
	}
	first, err := e.Log.Read(ctx, shard, marks[shard], 1)
	if err != nil {
		return false, err
	}
	if len(first) > 0 && first[0].Version <= end {
		e.Ring(shard)
		return false, nil
	}
	if err := e.Log.Trim(ctx, shard, marks[shard]); err != nil {
		return false, err
	}
	n, err := e.Log.Mentions(ctx, shard, user, end)
	return n == 0, err
}

// ends are the last ids that the logs have given.
func (e *Eraser) ends(ctx context.Context) (map[int]like.Version, error) {
	ends := map[int]like.Version{}
	for shard := range e.Log.Shards() {
		step, cancel := context.WithTimeout(ctx, stepTime)
		tail, err := e.Log.Tail(step, shard)
		cancel()
		if err != nil {
			return nil, err
		}
		ends[shard] = tail.Last
	}
	return ends, nil
}
