package load

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"plusone/cmd/chaos/model"
	"plusone/cmd/chaos/report"
)

// The size of the load: requests per second over all clients, far below what
// the house can do, so that full speed is a steady line.
const (
	clients = 32
	rate    = 800
)

// Load is all clients. Fault and Calm are for one goroutine.
type Load struct {
	timeline *report.Timeline
	clients  []*client
	voters   []*voter
	greedy   []*Greedy
	key      string // that servers act with
	judging  bool
	moment   atomic.Int64 // twice the number of calms, and one more from a calm to the next fault

	mu     sync.Mutex
	wrongs []model.Wrong
}

// Options say what the load asks, and whom.
type Options struct {
	Names, Addrs [2]string // of the two APIs
	Key          string    // with which servers vote, and like for users
	Judging      bool      // whether participants decide about some likes

	// Greedy name users who like more than the quota allows, one after the other.
	Greedy []func(n int) string
}

// New readies clients of the two APIs.
func New(seed uint64, timeline *report.Timeline, o Options) *Load {
	l := &Load{timeline: timeline, judging: o.Judging, key: o.Key}
	conns := func() (c [2]*conn) {
		for i := range c {
			c[i] = &conn{name: o.Names[i], addr: o.Addrs[i]}
		}
		return c
	}
	for i := range clients {
		c := &client{load: l, id: i, rnd: rand.New(rand.NewPCG(seed, uint64(i))), conns: conns()}
		c.book = model.NewBook(c.owns)
		l.clients = append(l.clients, c)
	}
	for i := range voters {
		l.voters = append(l.voters, &voter{load: l, id: i, rnd: rand.New(rand.NewPCG(seed, uint64(clients+i))), conns: conns()})
	}
	for _, name := range o.Greedy {
		l.greedy = append(l.greedy, &Greedy{load: l, name: name, conns: conns()})
	}
	return l
}

// Run lets the clients ask until ctx ends.
func (l *Load) Run(ctx context.Context) {
	var all sync.WaitGroup
	for _, c := range l.clients {
		all.Go(func() { c.run(ctx) })
	}
	for _, v := range l.voters {
		all.Go(func() { v.run(ctx) })
	}
	for _, g := range l.greedy {
		all.Go(func() { g.run(ctx) })
	}
	all.Wait()
}

// Calm says that no fault is on, and that nothing which was asked before is on
// its way any more.
func (l *Load) Calm() { l.moment.Store((l.moment.Load()/2+1)*2 + 1) }

// Fault says that a fault begins.
func (l *Load) Fault() { l.moment.Store(l.moment.Load() / 2 * 2) }

// epoch is how many calms there have been by a moment.
func epoch(moment int64) int { return int(moment / 2) }

// calm reports whether no fault was on from one moment to another.
func calm(from, to int64) bool { return from == to && from%2 == 1 }

// Settle makes every client learn how its pairs stand, and read them all. All
// faults must be over, and Run too.
func (l *Load) Settle(ctx context.Context) error {
	var all errgroup.Group
	for _, c := range l.clients {
		all.Go(func() error { return c.settle(ctx) })
	}
	for _, v := range l.voters {
		all.Go(func() error { return v.settle(ctx) })
	}
	for _, g := range l.greedy {
		all.Go(func() error { return g.settle(ctx) })
	}
	return all.Wait()
}

func (l *Load) wrong(w model.Wrong) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wrongs = append(l.wrongs, w)
}

// Wrongs are the broken promises that answers have shown so far.
func (l *Load) Wrongs() []model.Wrong {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]model.Wrong(nil), l.wrongs...)
}

// Books are what the clients know. Run and Settle must be over.
func (l *Load) Books() []*model.Book {
	books := make([]*model.Book, len(l.clients))
	for i, c := range l.clients {
		books[i] = c.book
	}
	return books
}

// Ballots are what the voters know, and what they were told on the way. Run and Settle
// must be over.
func (l *Load) Ballots() (all []*model.Ballot, told VotesTold) {
	for _, v := range l.voters {
		all = append(all, v.ballots...)
		told.Votes += v.told.Votes
		told.Refunds += v.told.Refunds
		told.Unknown += v.told.Unknown
		told.Refused += v.told.Refused
		told.Races += v.told.Races
	}
	return all, told
}

// Greedy are the users who like more than they may. Run must be over.
func (l *Load) Greedy() []*Greedy { return l.greedy }
