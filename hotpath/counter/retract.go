package counter

import (
	"context"
	"fmt"

	"plusone/hotpath/like"
)

// Retracted tells what came of a Retract.
type Retracted string

// The outcomes of Retract.
const (
	RetractDone    Retracted = "done"    // the log says the opposite now
	RetractNewer   Retracted = "newer"   // an entry that the ledger lacks names the pair
	RetractCold    Retracted = "cold"    // Redis has to load the item first
	RetractUnknown Retracted = "unknown" // Redis has to learn of the user first
	RetractClosed  Retracted = "closed"  // the shard has to be opened first
	RetractDamaged Retracted = "damaged" // what Redis has of the item can't be read: the reconciler mends it
)

// Retract takes back a change that the ledger has, by one that goes through the
// log like any other, unless an entry above after names the pair; entries up to
// there are in the ledger. To repeat it is harmless: it finds its own entry.
//
// The ledger must not get past entries that name the pair meanwhile, or they are
// gone before they are looked at. A mark that is not empty lets WasRetracted know.
// Errors: like.ErrUnavailable.
func (l *Log) Retract(ctx context.Context, shard int, ch like.Change, after like.Version, mark string) (Retracted, error) {
	k := &l.keys[shard]
	keys := []string{k.meta, k.counts, k.log, k.likers + ch.Item}
	if mark != "" {
		keys = append(keys, k.back+mark)
	}
	liked := 0
	if ch.Liked {
		liked = 1
	}
	from := after.Next()
	for {
		state, err := retractScript.run(ctx, l.rdb, keys,
			len(l.keys), ch.Item, ch.User, liked, from.String()).Text()
		if err != nil {
			return "", fmt.Errorf("retract a change in shard %d: %w", shard, unavailable(err))
		}
		if state != "many" {
			return Retracted(state), nil
		}
		named, end, err := l.names(ctx, shard, from, ch.Item, ch.User)
		switch {
		case err != nil:
			return "", err
		case named:
			return RetractNewer, nil
		}
		from = end
	}
}

// WasRetracted reports whether it was a Retract with this mark, within the last day,
// that has changed a pair of the shard. Errors: like.ErrUnavailable.
func (l *Log) WasRetracted(ctx context.Context, shard int, mark string) (bool, error) {
	n, err := l.rdb.Exists(ctx, l.keys[shard].back+mark).Result()
	if err != nil {
		return false, fmt.Errorf("look for a change that was taken back in shard %d: %w", shard, unavailable(err))
	}
	return n == 1, nil
}

// GiveBack gives a user the unit of the quota back that a change of that version has
// used, unless its window is over, or a call with the same mark was here. Errors:
// like.ErrUnavailable; then repeat it.
func (l *Log) GiveBack(ctx context.Context, user string, v like.Version, mark string) error {
	k := &l.keys[ShardOf(user, len(l.keys))]
	err := giveScript.run(ctx, l.rdb, []string{k.quota}, user, v.Time().UnixMilli(), "%"+mark).Err()
	if err != nil {
		return fmt.Errorf("give a unit of a quota back: %w", unavailable(err))
	}
	return nil
}

// Writable is nil while changes go to Redis. Otherwise it wraps like.ErrElsewhere
// or like.ErrUnavailable.
func (l *Log) Writable(ctx context.Context) error { return l.fence.Err(ctx) }
