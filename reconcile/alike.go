package reconcile

import (
	"context"
	"strconv"

	"golang.org/x/sync/errgroup"

	"plusone/hotpath/counter"
	"plusone/hotpath/like"
	"plusone/tasks/ledger"
)

// unlike returns those of the items that are not plainly the same on both sides:
// what traffic is changing, what drifted, and what is no wholly resident item. It
// reads both sides at once, without a pin: where all pairs agree there is nothing
// that could be repaired, whatever moments the readings are of.
func (p *pass) unlike(ctx context.Context, shard int, all []string) (others []string, err error) {
	var items []string
	for _, item := range all {
		if like.CheckItem(item) != nil { // nothing to ask the ledger for
			others = append(others, item)
			continue
		}
		items = append(items, item)
	}
	key := ledger.NewDigestKey()
	var rows []ledger.Digest
	var held []counter.Held
	sets := make([]set, len(items))
	err = p.step(ctx, func(ctx context.Context) error {
		both, ctx := errgroup.WithContext(ctx)
		both.Go(func() (err error) {
			rows, err = p.ledger.Digests(ctx, items, key)
			return err
		})
		both.Go(func() (err error) {
			held, err = p.log.Sweep(ctx, shard, items, func(i int, members []string) { sets[i].add(key, members) })
			return err
		})
		return both.Wait()
	})
	if err != nil {
		return nil, err
	}
	for i, item := range items {
		switch h := held[i]; {
		case !h.Resident: // evicted since it was listed
		case sets[i].alike(h, rows[i]):
			p.looked(1, int(sets[i].Users))
		default:
			others = append(others, item)
		}
	}
	return others, p.pay(ctx)
}

// set is what was read of an item's set.
type set struct {
	ledger.Digest
	stray bool // a member that is no user's id: a foreign hand's, or it says that the item is partly resident
}

func (s *set) add(key ledger.DigestKey, members []string) {
	for _, m := range members {
		s.stray = s.stray || like.CheckUser(m) != nil
		key.Add(&s.Digest, m)
	}
}

// alike reports whether set, rows, votes and count tell the same.
func (s *set) alike(h counter.Held, rows ledger.Digest) bool {
	s.Votes = rows.Votes
	return !s.stray && h.Size >= 0 && s.Digest == rows && sumIs(h.Votes, rows.Votes) &&
		h.Count == strconv.FormatInt(s.Users+rows.Votes, 10)
}

// sumIs reports whether a sum of votes, as Redis stores it, is n.
func sumIs(stored string, n int64) bool {
	return stored == strconv.FormatInt(n, 10) || stored == "" && n == 0
}
