package counter

import (
	"context"
	"fmt"
	"strings"
	"time"
)

const (
	bigItem  = 20_000 // likers from which an item loads by itself, beside the others
	loadPage = 1_000  // likers that one SADD carries
)

// loan is the right to load one item, and what came of it.
type loan struct {
	shard   int
	item    string
	gen     string // the shard's generation when the lease was given
	size    int64  // likers, as the ledger counts them
	n       int    // likers loaded; giveBack: install nothing
	waiting []errand
}

// giveBack as a number of likers is refused by the script, which then frees the
// lease.
const giveBack = -1

// load makes the items that errands wait for resident: leases, one look at
// their sizes, one pass over the likers of all small ones.
func (w *warmer) load(ctx context.Context, errands []errand) {
	waiting := make(map[string][]errand)
	byShard := make(map[int][]string)
	for _, e := range errands {
		if w.loading(e.item) {
			w.later([]errand{e})
			continue
		}
		if _, ok := waiting[e.item]; !ok {
			byShard[e.shard] = append(byShard[e.shard], e.item)
		}
		waiting[e.item] = append(waiting[e.item], e)
	}
	var won []*loan
	for shard, items := range byShard {
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
	names := []string{k.meta, k.counts}
	args := []any{w.c.opt.Shards, w.token, w.c.opt.LoadTime.Milliseconds()}
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

// fetch loads the leased items: small ones together, each large one by itself
// while the warmer goes on.
func (w *warmer) fetch(ctx context.Context, loans []*loan) {
	items := make([]string, len(loans))
	for i, l := range loans {
		items[i] = l.item
	}
	sizes, err := w.c.src.Counts(ctx, items, make([]string, len(items)))
	if err != nil {
		w.finish(ctx, loans, fmt.Errorf("ask the ledger for cold items: %w", err))
		return
	}
	var small []*loan
	for i, l := range loans {
		if l.size = sizes[i].Count; l.size < bigItem {
			small = append(small, l)
			continue
		}
		select {
		case w.big <- struct{}{}:
			w.bigItems.Store(l.item, true)
			w.loads.Go(func() {
				defer func() { w.bigItems.Delete(l.item); <-w.big }()
				ctx, cancel := context.WithTimeout(w.c.life, w.c.opt.LoadTime)
				defer cancel()
				w.finish(ctx, []*loan{l}, w.copy(ctx, []*loan{l}))
			})
		default: // as many as may are under way: come back when one has ended
			w.giveBack(ctx, l)
			w.later(l.waiting)
		}
	}
	w.inGroups(small)
}

// groupLikers is how many likers are loaded together.
const groupLikers = 50_000

// inGroups loads small items, group by group, each with time of its own and
// installed as soon as it is there: whatever is asked for at once, every group is
// progress. Leases that run out meanwhile are asked for again.
func (w *warmer) inGroups(loans []*loan) {
	for len(loans) > 0 {
		n, likers := 0, int64(0)
		for n < len(loans) && (n == 0 || likers+loans[n].size <= groupLikers) {
			likers += loans[n].size
			n++
		}
		ctx, cancel := context.WithTimeout(w.c.life, w.c.opt.LoadTime)
		w.finish(ctx, loans[:n], w.copy(ctx, loans[:n]))
		cancel()
		loans = loans[n:]
	}
}

// loading reports whether a load of a large item is under way here.
func (w *warmer) loading(item string) bool {
	_, under := w.bigItems.Load(item)
	return under
}

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
		key := w.c.keys[l.shard].loaded + item
		members := make([]any, len(users))
		for i, u := range users {
			members[i] = u
		}
		if l.n == 0 {
			pipe.Unlink(ctx, key) // of a load that was cut off
		}
		pipe.SAdd(ctx, key, members...)
		pipe.PExpire(ctx, key, 2*w.c.opt.LoadTime)
		l.n += len(users)
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
	for shard, here := range byShard {
		states, failed := w.install(ctx, shard, here)
		for i, l := range here {
			switch {
			case err != nil || failed != nil:
				w.end(l.waiting, firstOf(err, failed))
			case states[i] == 'x':
				w.later(l.waiting)
			default:
				w.end(l.waiting, nil)
				w.c.meter.loaded(l.n)
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
	names := []string{k.meta, k.counts}
	args := []any{loans[0].gen, w.token}
	for _, l := range loans {
		names = append(names, k.lease+l.item, k.loaded+l.item, k.likers+l.item)
		args = append(args, l.item, l.n)
	}
	states, err := installScript.run(ctx, w.c.plain, names, args...).Text()
	if err == nil && len(states) != len(loans) {
		err = fmt.Errorf("install cold items: redis answered %q", states)
	}
	return states, err
}

// giveBack frees a lease that was not used.
func (w *warmer) giveBack(ctx context.Context, l *loan) {
	l.n = giveBack
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_, _ = w.install(ctx, l.shard, []*loan{l}) // a lease ends by itself, too
}
