package counter

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"plusone/hotpath/like"
)

const (
	// useTime is for how long a reservation may be used, by Redis' clock: the like
	// script refuses what comes later. It comes with the next exchange.
	useTime = 2 * time.Second
	// holdTime is after what time a reservation that nobody has ended is given back.
	holdTime = 5 * time.Second
	// endPause is how long the end of a reservation waits for an exchange that carries
	// it, before it gets one of its own.
	endPause = 50 * time.Millisecond
	// lookPause is the time between looks for expired reservations of a shard, which
	// are one entry each.
	lookPause = 100 * time.Millisecond
	maxEnds   = 32 // of reservations, that one call carries
)

// quota reserves a unit of its user's quota for each like before it is sent:
//
//	exchange n    quota.lua: try ── none left ── n+1: tell the state ── liked: unchanged
//	                 │                                              └── refused
//	         n+1  like.lua
//	                 ├── liked now ──────────────────── n+2: confirm
//	                 ├── nothing changed, or refused ── n+2: cancel
//	                 └── no answer ──── neither: the unit is given back after holdTime
//
// One reservation is for all that one call was granted, and ends when all their ops
// have. One that is not used within useTime, nor within its window, is never used: then
// its ops reserve again. An op that has to wait for the ledger gives its unit back
// first. So a unit stands for a like, but for what a lost answer or a crash between
// the like and the end of its reservation leaves: that like may not count.
//
// The writeLane's goroutine owns it.
type quota struct {
	c     *Counter
	units int
	words int64 // the window, in ms
	use   int64 // useTime, in ms
	hold  int64 // holdTime, in ms
	none  int64 // 0, for an exchange that looks for none of those

	refunds bool // unlikes give units back

	looked []time.Time    // by shard: when expired reservations were last looked for
	ready  []*slot        // that go with the next exchange
	ended  []*reservation // not told to Redis yet
	back   []string       // users who give back a unit that they have used
	due    time.Time      // when these get an exchange of their own
	last   bool           // the one when everything ends

	asks  []*ask // of this exchange
	open  []*ask // by shard: the one that is added to, nil: none yet
	spare []*ask
}

func newQuota(c *Counter) *quota {
	return &quota{
		c: c, units: c.opt.Quota.Likes, words: c.opt.Quota.Window.Milliseconds(),
		use: useTime.Milliseconds(), hold: holdTime.Milliseconds(), refunds: c.opt.Quota.RefundUnlikes,
		open: make([]*ask, c.opt.Shards), looked: make([]time.Time, c.opt.Shards),
	}
}

// reservation is the units that one call has granted.
type reservation struct {
	quota *quota
	shard int    // of its users
	id    string // in Redis
	start string // of its window
	until int64  // it may be used, in ms of Redis' clock
	over  time.Time

	left            int // ops that have not ended
	unused, unknown []byte
}

// unit is what an op has of its user's quota.
type unit struct {
	held   *reservation
	denied bool      // there was none: the op only tells whether the pair is liked, or unlikes
	want   like.Want // of the op, before it was denied
	units  like.Units
}

// keep is the want of a like that was denied: it changes nothing.
const keep = like.Toggle + 1

// take waits for what the next exchange may carry.
func (q *quota) take(w *queue[*slot]) ([]*slot, bool) {
	for {
		slots, turn, open := w.poll(max(maxFlush-len(q.ready), 0), len(q.ready) > 0)
		if turn {
			slots = append(slots, q.ready...)
			clear(q.ready)
			q.ready = q.ready[:0]
			q.last = false
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
	if len(q.ended)+len(q.back) == 0 || q.last {
		return false
	}
	q.last = closing
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

// gather sorts out the ops that need a unit first, and returns the others, in the
// place of slots, and the calls that go with them.
func (q *quota) gather(slots []*slot) ([]*slot, []*ask) {
	for _, a := range q.asks {
		a.empty()
	}
	q.spare = append(q.spare, q.asks...)
	q.asks = q.asks[:0]
	clear(q.open)
	rest, now := slots[:0], time.Now()
	for _, s := range slots {
		switch {
		case s.op.Want == like.NotLiked || s.op.Want == keep || s.unit.held != nil:
			rest = append(rest, s)
		case s.late(now):
			s.fail(fmt.Errorf("%w: the op waited too long", like.ErrBusy))
		case s.call.gone.Load():
			s.fail(fmt.Errorf("%w: nobody waits for the op any more", like.ErrBusy))
		default:
			q.ask(s)
		}
	}
	q.gatherEnds()
	return rest, q.asks
}

// gatherEnds puts what is over into the calls, as far as they have room.
func (q *quota) gatherEnds() {
	later := q.ended[:0]
	for _, r := range q.ended {
		if a := q.at(r.shard, 0); len(a.ends) < maxEnds {
			a.ends = append(a.ends, r)
		} else {
			later = append(later, r)
		}
	}
	clear(q.ended[len(later):])
	q.ended = later
	n := min(len(q.back), maxScript)
	for i := range n {
		a := q.at(ShardOf(q.back[i], q.c.opt.Shards), 0)
		a.backs = append(a.backs, &q.back[i])
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
		s.unit = unit{}
	}
}

// forgive lets denied ops do what they wanted: nobody counts likes that go straight
// to the ledger.
func (q *quota) forgive(slots []*slot) {
	for _, s := range slots {
		if s.unit.denied {
			s.op.Want, s.unit = s.unit.want, unit{}
		}
	}
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
