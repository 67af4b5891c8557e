package counter

import (
	"context"
	"fmt"

	"plusone/hotpath/like"
)

// Weight is the count of a partly resident item at one moment. Its set can't tell
// whether the count is right, but the ledger's count can, with what the log has in
// between.
type Weight struct {
	Count  string       // as stored
	At     like.Version // the log's last id at that moment
	forgot string
}

// Follows reports whether no import has brought anything to a partly resident item of the
// shard since before was read, and nothing has been forgotten.
func (w *Weight) Follows(before *Weight) bool { return w.forgot == before.forgot }

// Keeps reports whether the log still has every entry above v.
func (p *Pin) Keeps(v like.Version) bool { return v >= p.held }

// Weigh reads an item's count; nil when the item is not partly resident.
func (p *Pin) Weigh(ctx context.Context, item string) (*Weight, error) {
	reply, err := weighScript.run(ctx, p.l.rdb, []string{p.k.meta, p.k.counts, p.k.log, p.k.likers + item}, item).StringSlice()
	if err != nil {
		return nil, fmt.Errorf("read the count of %s: %w", item, unavailable(err))
	}
	if len(reply) != 3 {
		return nil, nil
	}
	at, err := like.ParseVersion(reply[2])
	return &Weight{Count: reply[0], forgot: reply[1], At: at}, err
}

// Since returns what the log says of an item in (from, to]: the last change of each
// user and vote that it names. The log must still have them, see Keeps.
func (p *Pin) Since(ctx context.Context, item string, from, to like.Version) (map[string]like.Change, error) {
	said := map[string]like.Change{}
	for from < to {
		entries, err := p.l.Read(ctx, p.shard, from, 500)
		if err != nil {
			return nil, err
		}
		if len(entries) == 0 {
			break
		}
		for _, e := range entries {
			if from = e.Version; from > to {
				break
			}
			for _, ch := range e.Changes {
				if ch.Item == item {
					said[ch.User] = ch
				}
			}
		}
	}
	return said, nil
}

// Shift moves the count of a partly resident item, unless its residency has
// changed since it was weighed. It may be moved although traffic goes on: the
// difference stays. Errors: ErrUnpinned.
func (p *Pin) Shift(ctx context.Context, item string, w *Weight, by int64) (Mended, error) {
	reply, err := p.mend(ctx, ShiftCount, Pair{Item: item}, by, w.forgot)
	return mendedOf(reply), err
}
