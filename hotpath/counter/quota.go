package counter

import (
	"crypto/rand"
	"errors"
	"slices"
	"time"

	"plusone/hotpath/like"
)

const (
	// useTime is for how long a reservation may be used, by Redis' clock: the like
	// script refuses what comes later. It comes in the same exchange.
	useTime = 2 * time.Second
	// holdTime is after what time a reservation that nobody has ended is given back.
	holdTime = 5 * time.Second
	// endPause is how long the end of a reservation waits for an exchange that carries
	// it, before it gets one of its own.
	endPause = 50 * time.Millisecond
	// lookPause is the time between looks for expired reservations of a shard, which
	// are one entry each.
	lookPause = 100 * time.Millisecond
)

// quota reserves a unit of its user's quota for each like, in the exchange that carries
// the like:
//
//	exchange n    quota.lua: try, and leave a slip that says who got a unit
//	         n    like.lua, of who got none: only tell ── liked: unchanged
//	              │                                    └── refused
//	              ├── liked now ──────────────────── n+1: confirm
//	              ├── nothing changed, or refused ── n+1: cancel
//	              └── no answer ──── neither: the unit is given back after holdTime
//
// The calls go down one connection, so Redis runs them in this order; like.lua reads the
// slips of its ops' users, whose shards are others than that of the item. A slip is good
// for this exchange alone and for useTime, within its window: who finds another one, or
// none, applies nothing, and its ops reserve again. So a unit is there before its like
// is, and is not given back while the like may still come.
//
// One reservation is for all that one part of a call was granted, and ends when all its ops
// have. An op that has to wait for the ledger gives its unit back first. So a unit
// stands for a like, but for what a lost answer or a crash between the like and the end
// of its reservation leaves: that like may not count.
//
// The writeLane's goroutine owns it.
type quota struct {
	c     *Counter
	units int
	words int64 // the window, in ms
	use   int64 // useTime, in ms

	refunds bool // unlikes give units back

	lane   string   // no other quota has it
	slips  []string // fields: of the first call of an exchange, the second, ...
	number int64    // of the exchange

	looked []time.Time    // by shard: when expired reservations were last looked for
	ended  []*reservation // not told to Redis yet
	back   []string       // users who give back a unit that they have used
	due    time.Time      // when these get an exchange of their own
	closes bool           // the one when everything ends

	asks  []*ask  // of this exchange
	open  []*part // by shard: the last one, if it is of this exchange
	spare []*ask  // these, and more
}

func newQuota(c *Counter) *quota {
	return &quota{
		c: c, units: c.opt.Quota.Likes, words: c.opt.Quota.Window.Milliseconds(),
		use: useTime.Milliseconds(), refunds: c.opt.Quota.RefundUnlikes,
		lane: "%" + rand.Text() + ":", open: make([]*part, c.opt.Shards), looked: make([]time.Time, c.opt.Shards),
	}
}

// reservation is the units that one call has granted.
type reservation struct {
	quota *quota
	shard int    // of its users
	id    string // in Redis
	start string // of its window
	over  time.Time

	left            int // ops that have not ended
	unused, unknown []byte
}

// unit is what an op has of its user's quota.
type unit struct {
	slip   int // place of the slip among those of its batch, from 1; 0: it needs none
	nth    int // place of its letter on that, from 1
	held   *reservation
	denied bool  // there was none: the op only tells whether the pair is liked, or unlikes
	err    error // why it is not known whether there is one
	units  like.Units
}

// take waits for what the next exchange may carry.
func (q *quota) take(w *queue[*slot]) ([]*slot, bool) {
	for {
		slots, turn, open := w.poll(maxFlush, false)
		if turn {
			q.closes = false
			return slots, true
		}
		if q.isDue(!open) {
			slots, _, _ = w.poll(maxFlush, true)
			return slots, true
		}
		if !open {
			return nil, false
		}
		q.wait(w.wake)
	}
}

// isDue reports whether the ends of reservations need an exchange of their own now.
// When everything ends they get one.
func (q *quota) isDue(closing bool) bool {
	now := time.Now()
	q.ended = slices.DeleteFunc(q.ended, func(r *reservation) bool { return now.After(r.over) })
	if len(q.ended)+len(q.back) == 0 || q.closes {
		return false
	}
	q.closes = closing
	if !closing && now.Before(q.due) {
		return false
	}
	q.due = now.Add(endPause)
	return true
}

func (q *quota) wait(wake <-chan struct{}) {
	if len(q.ended)+len(q.back) == 0 {
		<-wake
		return
	}
	timer := time.NewTimer(time.Until(q.due))
	defer timer.Stop()
	select {
	case <-wake:
	case <-timer.C:
	}
}

// gather makes the calls that go before those of the batches.
func (q *quota) gather(batches []*batch) []*ask {
	for _, a := range q.asks {
		a.empty()
	}
	q.asks = q.asks[:0]
	clear(q.open)
	q.number++
	for _, b := range batches {
		for i := range b.groups {
			for s := b.groups[i].first; s != nil; s = s.after {
				if s.op.Want != like.NotLiked {
					q.want(b, s)
				}
			}
		}
	}
	q.gatherEnds()
	return q.asks
}

// gatherEnds puts what is over into the calls, as much as one of them has room for.
func (q *quota) gatherEnds() {
	n := min(len(q.ended), maxScript)
	for _, r := range q.ended[:n] {
		p := q.at(r.shard)
		p.ends = append(p.ends, r)
	}
	q.ended = slices.Delete(q.ended, 0, n)
	n = min(len(q.back), maxScript)
	for i := range n {
		p := q.at(ShardOf(q.back[i], q.c.opt.Shards))
		p.backs = append(p.backs, &q.back[i])
	}
	q.back = slices.Clone(q.back[n:])
}

// later notes that there is something to tell Redis.
func (q *quota) later() {
	if len(q.ended)+len(q.back) == 0 {
		q.due = time.Now().Add(endPause)
	}
}

// end makes of a result what the quota makes of it, and passes the end of the op on
// to its reservation.
func (q *quota) end(s *slot, res *like.Result) {
	res.Units = s.unit.units
	switch r := s.unit.held; {
	case s.unit.denied && res.Err == nil && !res.Changed && !res.Liked:
		res.Err = like.ErrQuota
	case r == nil:
	case res.Err == nil && res.Changed && res.Liked:
		r.end()
	case errors.Is(res.Err, like.ErrUnknown):
		r.unknown = append(append(r.unknown, ' '), s.op.User...)
		r.end()
	default:
		r.cancel(s.op.User)
		res.Units.Left++
	}
	if q.refunds && res.Err == nil && res.Changed && !res.Liked && res.Source == "" {
		q.later()
		q.back = append(q.back, s.op.User)
	}
}

// drop gives the unit of an op back that has to wait.
func (u unit) drop(s *slot) {
	if u.held != nil {
		u.held.cancel(s.op.User)
	}
	s.unit = unit{}
}

func (r *reservation) cancel(user string) {
	r.unused = append(append(r.unused, ' '), user...)
	r.quota.c.meter.units.returned.Inc()
	r.end()
}

func (r *reservation) end() {
	if r.left--; r.left == 0 {
		r.quota.later()
		r.quota.ended = append(r.quota.ended, r)
	}
}
