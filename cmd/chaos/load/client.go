package load

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"plusone/cmd/chaos/model"
)

// What there is to like. Items that all clients share have likers of every
// client; a client's own items are touched by nobody else.
const (
	sharedItems = 40
	ownItems    = 50
	usersEach   = 3 // of a client, on each item
)

// pause is how long a client waits after a failure before it asks the other
// API, and avoid how long it then stays away from the first.
const (
	pause = 50 * time.Millisecond
	avoid = time.Second
)

// client is one client. It has one request under way at a time.
type client struct {
	load   *Load
	id     int
	rnd    *rand.Rand
	book   *model.Book
	judged []*Judged
	conns  [2]*conn
	shun   [2]time.Time // until when not to ask that API
}

func (c *client) ownPrefix() string { return fmt.Sprintf("own-%d-", c.id) }

func (c *client) pair() model.Pair {
	item := fmt.Sprintf("shared-%d", c.rnd.IntN(sharedItems))
	if c.rnd.IntN(2) == 0 {
		item = fmt.Sprintf("%s%d", c.ownPrefix(), c.rnd.IntN(ownItems))
	}
	return model.Pair{Item: item, User: fmt.Sprintf("c%d-u%d", c.id, c.rnd.IntN(usersEach))}
}

func (c *client) wanted() model.Do {
	switch n := c.rnd.IntN(20); {
	case n < 7:
		return model.Like
	case n < 13:
		return model.Unlike
	case n < 15:
		return model.Toggle
	}
	return model.Look
}

// run asks at the load's rate until ctx ends. What it could not ask in time it
// does not make up for.
func (c *client) run(ctx context.Context) {
	defer func() { c.conns[0].close(); c.conns[1].close() }()
	tick := time.NewTicker(time.Second * time.Duration(len(c.load.clients)) / rate)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if c.load.judging && n%judgedEvery == 0 {
			c.judge(ctx)
			continue
		}
		p := c.pair()
		if do, ok := c.book.Next(p, c.wanted(), epoch(c.load.moment.Load())); ok {
			c.insist(ctx, p, do)
		}
	}
}

// insist asks until an op has been answered or refused for good, one API after
// the other; it repeats only what may be repeated.
func (c *client) insist(ctx context.Context, p model.Pair, do model.Do) {
	for try := 0; try < 20; try++ {
		a := c.ask(p, do)
		if a.Outcome == model.Acked || do == model.Toggle || do == model.Look {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// ask makes one request and enters its answer everywhere.
func (c *client) ask(p model.Pair, do model.Do) model.Answer {
	i := c.id % 2
	if now := time.Now(); now.Before(c.shun[i]) && !now.Before(c.shun[1-i]) {
		i = 1 - i
	}
	before := c.load.moment.Load()
	a := c.conns[i].ask(do, p)
	now := c.load.moment.Load()
	a.Calm = calm(before, now)
	if a.Outcome != model.Acked {
		c.shun[i] = time.Now().Add(avoid)
	}
	if wrong := c.book.Record(p, do, a, epoch(now)); wrong != nil {
		c.load.wrong(*wrong)
	}
	switch {
	case a.Outcome == model.Acked && do == model.Look:
		c.load.timeline.Read(a.At)
	case a.Outcome == model.Acked:
		c.load.timeline.Acked(a.At)
	default:
		c.load.timeline.Failed(a.At, a.Code, a.Outcome == model.Unknown && do != model.Look)
	}
	return a
}

// settle learns the state of every pair that has been left open, and reads
// every pair once more. All faults must be over.
func (c *client) settle(ctx context.Context) error {
	defer func() { c.conns[0].close(); c.conns[1].close() }()
	if err := c.pleadAll(ctx); err != nil {
		return err
	}
	for tries := 0; ; tries++ {
		open := c.book.Unsettled()
		if len(open) == 0 {
			break
		}
		if tries == 50 {
			return fmt.Errorf("client %d never learned the state of %v", c.id, open[0])
		}
		if tries > 0 {
			time.Sleep(pause)
		}
		for _, p := range open {
			if do, ok := c.book.Next(p, model.Look, epoch(c.load.moment.Load())); ok && ctx.Err() == nil {
				c.ask(p, do)
			}
		}
	}
	for _, p := range c.book.Pairs() {
		if ctx.Err() == nil {
			c.ask(p, model.Look)
		}
	}
	return ctx.Err()
}

// owns reports whether no other client touches item.
func (c *client) owns(item string) bool { return strings.HasPrefix(item, c.ownPrefix()) }
