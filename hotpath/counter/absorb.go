package counter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"plusone/hotpath/like"
)

// An import writes rows to the ledger that no log has. Redis learns of them before they
// are committed:
//
//	Claim      nobody loads these items until Disclaim
//	           (the ledger's rows are written, and locked until the commit)
//	Absorb     items that are resident get what has flipped, unless the log names the pair
//	Sign       a marker in the log: a Redis without it lacks all that
//	           (the ledger notes the marker, commit)
//	Disclaim   items may be loaded again
//
// A crash before the commit leaves likes in Redis that the ledger lacks: the import goes
// on with them, or the reconciler finds them. Claims end by themselves.

// ClaimTime is how long a claim lasts: longer than a transaction of an import may take.
const ClaimTime = 10 * time.Second

const (
	claimMost  = 256 // items that one call claims or lets go
	absorbMost = 512 // users that one call brings: bounds how long Redis is busy with it
)

// Claim keeps items of a shard from being loaded, for ClaimTime, and returns those that
// are resident. Errors: like.ErrUnavailable.
func (l *Log) Claim(ctx context.Context, shard int, token string, items []string) (resident []string, err error) {
	k := &l.keys[shard]
	for len(items) > 0 {
		some := items[:min(len(items), claimMost)]
		items = items[len(some):]
		names, args := []string{k.counts, k.claims}, []any{token, ClaimTime.Milliseconds()}
		for _, item := range some {
			names, args = append(names, k.lease+item), append(args, item)
		}
		states, err := claimScript.run(ctx, l.rdb, names, args...).Text()
		if err == nil && len(states) != len(some) {
			err = fmt.Errorf("redis answered %q", states)
		}
		if err != nil {
			return nil, fmt.Errorf("claim items of shard %d: %w", shard, unavailable(err))
		}
		for i, item := range some {
			if states[i] == 'r' {
				resident = append(resident, item)
			}
		}
	}
	return resident, nil
}

// Disclaim lets items be loaded again. It returns those whose claim has not lasted: what
// Redis has of them may be from before. Errors: like.ErrUnavailable.
func (l *Log) Disclaim(ctx context.Context, shard int, token string, items []string) (lost []string, err error) {
	for len(items) > 0 {
		some := items[:min(len(items), claimMost)]
		items = items[len(some):]
		args := []any{token}
		for _, item := range some {
			args = append(args, item)
		}
		ours, err := endScript.run(ctx, l.rdb, []string{l.keys[shard].claims}, args...).Text()
		if err == nil && len(ours) != len(some) {
			err = fmt.Errorf("redis answered %q", ours)
		}
		if err != nil {
			return nil, fmt.Errorf("let items of shard %d go: %w", shard, unavailable(err))
		}
		for i, item := range some {
			if ours[i] == 'n' {
				lost = append(lost, item)
			}
		}
	}
	return lost, nil
}

// Flip is a pair that changes in the ledger without an entry in the log.
type Flip struct {
	Pair
	Liked bool
}

// Absorb brings resident items of a shard what flips in the ledger; of cold ones it does
// nothing. after is a watermark of the shard, from before the rows were written; they are
// locked until Absorb has returned. Errors: ErrPending when the log is too long to be
// looked through, like.ErrUnavailable; then all of it may be repeated.
func (l *Log) Absorb(ctx context.Context, shard int, after like.Version, flips []Flip) error {
	if len(flips) == 0 {
		return nil
	}
	named := map[Pair]bool{}
	end, err := l.lookFrom(ctx, shard, after, func(ch like.Change) { named[Pair{ch.Item, ch.User}] = true })
	switch {
	case errors.Is(err, errLong):
		return ErrPending
	case err != nil:
		return err
	}
	var left []Flip
	for _, f := range flips {
		if !named[f.Pair] {
			left = append(left, f)
		}
	}
	for len(left) > 0 && err == nil {
		n := min(len(left), absorbMost)
		err = l.absorb(ctx, shard, end, left[:n])
		left = left[n:]
	}
	return err
}

// absorb is one call of absorb.lua.
func (l *Log) absorb(ctx context.Context, shard int, from like.Version, flips []Flip) error {
	k := &l.keys[shard]
	names, args, count, items := []string{k.meta, k.counts, k.log}, []any{from.String()}, 0, 0
	for i, f := range flips {
		if i == 0 || f.Item != flips[i-1].Item {
			names, args = append(names, k.likers+f.Item), append(args, f.Item, 0)
			count, items = len(args)-1, items+1
		}
		sign := "-"
		if f.Liked {
			sign = "+"
		}
		args[count] = args[count].(int) + 1
		args = append(args, sign+f.User)
	}
	done, err := absorbScript.run(ctx, l.rdb, names, args...).Int()
	switch {
	case err != nil:
		return fmt.Errorf("bring imported likes to shard %d: %w", shard, unavailable(err))
	case done != items: // more entries have come than the call may look at
		return ErrPending
	}
	return nil
}

// Sign puts a marker behind what was absorbed into the log of a shard, and returns its
// id, zero when the shard is not open. Errors: like.ErrUnavailable.
func (l *Log) Sign(ctx context.Context, shard int) (like.Version, error) {
	return l.mark(ctx, shard, "")
}

// Time is Redis' clock. Errors: like.ErrUnavailable.
func (l *Log) Time(ctx context.Context) (time.Time, error) {
	now, err := l.rdb.Time(ctx).Result()
	if err != nil {
		err = fmt.Errorf("ask redis for the time: %w", unavailable(err))
	}
	return now, err
}
