package counter

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
)

const (
	groupLikers = 20_000 // likers that are loaded together; one item may have more
	loadPage    = 1_000  // likers that one SADD carries
	loanMost    = 128    // items that one call leases or installs: bounds how long Redis is busy with it
)

// loan is the right to load one item, and what came of it.
type loan struct {
	shard   int
	item    string
	gen     string // the shard's generation when the lease was given
	size    int64  // likers, as the ledger counts them
	votes   int64  // the sum of its votes
	voted   bool   // it had votes once
	n       int64  // likers loaded; giveBack: install nothing
	partly  bool   // install the count only
	waiting []errand
}

// giveBack as a number of likers is refused by the script, which then frees the
// lease.
const giveBack = -1

// args is what install.lua is told: item, count, number of likers, votes.
func (l *loan) args() []any {
	likers, number, votes := l.n, strconv.FormatInt(l.n, 10), ""
	if l.partly && l.n != giveBack {
		likers, number = l.size, "%"
	}
	if l.voted {
		votes = strconv.FormatInt(l.votes, 10)
	}
	return []any{l.item, strconv.FormatInt(likers+l.votes, 10), number, votes}
}

// load makes the items that errands wait for resident: leases, one look at
// their sizes, one pass over the likers of those that are not too large.
func (w *warmer) load(ctx context.Context, errands []errand) {
	if !w.room(ctx, errands) {
		return
	}
	waiting := make(map[string][]errand)
	byShard := make(map[int][]string)
	for _, e := range errands {
		if _, ok := waiting[e.item]; !ok {
			byShard[e.shard] = append(byShard[e.shard], e.item)
		}
		waiting[e.item] = append(waiting[e.item], e)
	}
	var won []*loan
	for shard, items := range chunks(byShard) {
		loans, states, err := w.lease(ctx, shard, items)
		if err != nil {
			err = fmt.Errorf("lease cold items: %w", err)
		}
		for i, item := range items {
			switch {
			case err != nil || states[i] == 'r':
				w.end(waiting[item], err)
			case states[i] == 'h':
				w.later(waiting[item])
			}
		}
		for _, l := range loans {
			l.waiting = waiting[l.item]
		}
		won = append(won, loans...)
	}
	if len(won) > 0 {
		w.fetch(ctx, won)
	}
}

// lease asks for the items of one shard; states has a letter per item, as
// lease.lua tells. Items of a closed shard count as ready: the next try will
// find out.
func (w *warmer) lease(ctx context.Context, shard int, items []string) ([]*loan, string, error) {
	k := &w.c.keys[shard]
	names := []string{k.meta, k.counts, k.claims}
	args := []any{w.c.opt.Shards, w.token, loanTime.Milliseconds()}
	for _, item := range items {
		names = append(names, k.lease+item)
		args = append(args, item)
	}
	reply, err := leaseScript.run(ctx, w.c.plain, names, args...).StringSlice()
	if err != nil {
		return nil, "", err
	}
	if len(reply) == 1 {
		return nil, strings.Repeat("r", len(items)), nil
	}
	if len(reply) != 2 || len(reply[1]) != len(items) {
		return nil, "", fmt.Errorf("redis answered %q", reply)
	}
	var loans []*loan
	for i, item := range items {
		if reply[1][i] == 'w' {
			loans = append(loans, &loan{shard: shard, item: item, gen: reply[0]})
		}
	}
	return loans, reply[1], nil
}

// fetch asks how large the leased items are, and loads them: group by group, each
// with time of its own and installed as soon as it is there, so that whatever is
// asked for at once, every group is progress. Leases that run out meanwhile are
// asked for again. Items that are too large to be resident wholly need no more
// than their count.
func (w *warmer) fetch(ctx context.Context, loans []*loan) {
	defer w.hold(loans)()
	items := make([]string, len(loans))
	for i, l := range loans {
		items[i] = l.item
	}
	sizes, err := w.c.src.Sizes(ctx, items)
	if err != nil {
		w.finish(ctx, loans, fmt.Errorf("ask the ledger for cold items: %w", err))
		return
	}
	var large, toLoad []*loan
	for i, l := range loans {
		l.size, l.votes, l.voted = sizes[i].Likes, sizes[i].Votes, sizes[i].Voted
		if l.partly = l.size > int64(w.c.opt.ResidentSetMax); l.partly {
			large = append(large, l)
		} else {
			toLoad = append(toLoad, l)
		}
	}
	w.finish(ctx, large, nil)
	for len(toLoad) > 0 {
		n := groupOf(toLoad)
		if full, err := w.full(ctx); full && err == nil {
			w.putOff(ctx, toLoad)
			return
		}
		w.loadGroup(toLoad[:n])
		toLoad = toLoad[n:]
	}
}

// putOff gives leases back whose items find no room now.
func (w *warmer) putOff(ctx context.Context, loans []*loan) {
	for _, l := range loans {
		l.n = giveBack
	}
	w.finish(ctx, loans, nil)
}

// chunks are the parts of what each shard has, at most loanMost long.
func chunks[T any](byShard map[int][]T) iter.Seq2[int, []T] {
	return func(yield func(int, []T) bool) {
		for shard, all := range byShard {
			for part := range slices.Chunk(all, loanMost) {
				if !yield(shard, part) {
					return
				}
			}
		}
	}
}

// groupOf is how many of the loans, at least one, make a group.
func groupOf(loans []*loan) int {
	n, likers := 1, loans[0].size
	for n < len(loans) && likers+loans[n].size <= groupLikers {
		likers += loans[n].size
		n++
	}
	return n
}

func (w *warmer) loadGroup(loans []*loan) {
	ctx, cancel := context.WithTimeout(w.c.life, w.c.opt.LoadTime)
	defer cancel()
	w.finish(ctx, loans, w.copy(ctx, loans))
}

// loadedKey is the temporary set of a loan. It is this process's own: one that was
// frozen while it loaded may write into its set long after somebody else has the
// lease.
func (w *warmer) loadedKey(l *loan) string { return w.c.keys[l.shard].loaded + w.token + ":" + l.item }

// copy brings the likers of items from the ledger into temporary sets, which
// end by themselves if nobody installs them.
func (w *warmer) copy(ctx context.Context, loans []*loan) error {
	items, byItem := make([]string, len(loans)), make(map[string]*loan, len(loans))
	for i, l := range loans {
		items[i], byItem[l.item] = l.item, l
	}
	pipe := w.c.plain.Pipeline()
	err := w.c.src.LoadLikers(ctx, items, loadPage, func(item string, users []string) error {
		l := byItem[item]
		key := w.loadedKey(l)
		members := make([]any, len(users))
		for i, u := range users {
			members[i] = u
		}
		if l.n == 0 {
			pipe.Unlink(ctx, key) // of a load that was cut off
		}
		pipe.SAdd(ctx, key, members...)
		pipe.PExpire(ctx, key, 2*w.c.opt.LoadTime)
		l.n += int64(len(users))
		if pipe.Len() < 3*16 {
			return nil
		}
		_, err := pipe.Exec(ctx)
		return err
	})
	if err == nil && pipe.Len() > 0 {
		_, err = pipe.Exec(ctx)
	}
	if err != nil {
		return fmt.Errorf("load cold items: %w", err)
	}
	return nil
}

// finish installs what was loaded, or gives the leases back, and lets the ops
// that waited go on.
func (w *warmer) finish(ctx context.Context, loans []*loan, err error) {
	if err != nil { // its time may be up, and leases that stay hold others up
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(w.c.life, w.c.opt.Timeout)
		defer cancel()
	}
	byShard := make(map[int][]*loan)
	for _, l := range loans {
		if err != nil {
			l.n = giveBack
		}
		byShard[l.shard] = append(byShard[l.shard], l)
	}
	for shard, here := range chunks(byShard) {
		states, failed := w.install(ctx, shard, here)
		for i, l := range here {
			switch {
			case err != nil || failed != nil:
				w.end(l.waiting, firstOf(err, failed))
			case states[i] == 'x':
				w.later(l.waiting)
			default:
				w.end(l.waiting, nil)
				w.c.meter.loaded(l)
			}
		}
	}
}

func firstOf(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// install runs install.lua for loans of one shard; one letter per loan.
func (w *warmer) install(ctx context.Context, shard int, loans []*loan) (string, error) {
	k := &w.c.keys[shard]
	names := []string{k.meta, k.counts, k.partly, k.votes}
	args := []any{loans[0].gen, w.token}
	for _, l := range loans {
		names = append(names, k.lease+l.item, w.loadedKey(l), k.likers+l.item)
		args = append(args, l.args()...)
	}
	if err := w.c.opt.Fence.Err(ctx); err != nil {
		return "", err
	}
	states, err := installScript.run(ctx, w.c.plain, names, args...).Text()
	if err == nil && len(states) != len(loans) {
		err = fmt.Errorf("install cold items: redis answered %q", states)
	}
	return states, err
}
