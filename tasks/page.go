package tasks

import (
	"context"
	"slices"
	"strings"

	"plusone/hotpath/counter"
	"plusone/hotpath/like"
	"plusone/tasks/ledger"
)

const (
	// batchRows is how many changes a batch takes before it stops reading: large
	// enough to pay for a commit, small enough to hold locks for some 50 ms.
	batchRows = 4096
	// firstPage is how many log entries a drain reads at first, when it does not
	// know how many changes an entry of this log holds; lastPage is the most.
	firstPage = 64
	lastPage  = 4096
)

// read gathers entries above after until they hold as many changes as the batch
// takes. An entry
// is never split: all its changes have one version.
func (b *batch) read(ctx context.Context, after like.Version) error {
	for changes, more := 0, true; more; {
		page, err := b.log.Read(ctx, b.shard, after, b.pageLen)
		if err != nil {
			return err
		}
		more = len(page) == b.pageLen
		for _, e := range page {
			if changes >= b.size {
				more, b.full = false, true
				break
			}
			changes += max(1, len(e.Changes)) // a marker counts too, so that they end
			b.entries = append(b.entries, e)
			after = e.Version
		}
		b.pageLen = pageFor(b.size-changes, changes, len(b.entries))
	}
	return nil
}

// pageFor is how many entries should hold rows changes when the last entries
// held changes of them; when the batch is full, that of a whole next one.
func pageFor(rows, changes, entries int) int {
	if rows <= 0 {
		rows = batchRows
	}
	return min(max(rows*entries/max(changes, 1)+1, firstPage), lastPage)
}

// fold keeps the last state of each pair and of each vote, sorted as Apply and
// ApplyVotes want it.
func fold(entries []counter.Entry) (rows []ledger.Row, votes []ledger.VoteRow) {
	n := 0
	for _, e := range entries {
		n += len(e.Changes)
	}
	all := make([]placed, 0, n)
	for _, e := range entries {
		for i := range e.Changes {
			all = append(all, placed{&e.Changes[i], len(all)})
		}
	}
	slices.SortFunc(all, placed.compare)
	rows = make([]ledger.Row, 0, n)
	item, bucket := "", 0
	for i, r := range all {
		if i+1 < len(all) && all[i+1].User == r.User && all[i+1].Item == r.Item {
			continue
		}
		if i == 0 || r.Item != item {
			item, bucket = r.Item, counter.Bucket(r.Item)
		}
		if ref, vote := r.Vote(); vote {
			votes = append(votes, ledger.VoteRow{Item: r.Item, Ref: ref, State: r.State(), Bucket: bucket})
			continue
		}
		rows = append(rows, ledger.Row{Item: r.Item, User: r.User, Liked: r.Liked, Version: r.Version, Bucket: bucket})
	}
	return rows, votes
}

// placed is a change and its place in the log, which tells what is newest also
// within one version.
type placed struct {
	*like.Change
	place int
}

func (p placed) compare(o placed) int {
	if p.Item != o.Item {
		return strings.Compare(p.Item, o.Item)
	}
	if c := strings.Compare(p.User, o.User); c != 0 {
		return c
	}
	return p.place - o.place
}
