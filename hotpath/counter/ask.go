package counter

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/redis/go-redis/v9"

	"plusone/hotpath/like"
)

// ask is one call of quota.lua: ops whose users, all of one shard, want a unit, and
// what has become of earlier ones.
type ask struct {
	invocation

	quota *quota
	shard int
	slots []*slot
	ends  []*reservation
	backs []*string // users

	wants, refunds int // as arguments
	sent           time.Time
}

// ask adds an op to the call for its user.
func (q *quota) ask(s *slot) {
	a := q.at(shardOf(xxhash.Sum64String(s.op.User), q.c.opt.Shards), 1)
	a.slots = append(a.slots, s)
}

// at is the call for a shard that has room for so many ops more.
func (q *quota) at(shard, room int) *ask {
	a := q.open[shard]
	if a != nil && len(a.slots)+room <= maxScript {
		return a
	}
	if last := len(q.spare) - 1; last >= 0 {
		a, q.spare = q.spare[last], q.spare[:last]
	} else {
		a = &ask{quota: q}
	}
	a.shard = shard
	q.open[shard] = a
	q.asks = append(q.asks, a)
	return a
}

// empty makes room for the next exchange.
func (a *ask) empty() {
	clear(a.slots)
	clear(a.ends)
	clear(a.backs)
	a.slots, a.ends, a.backs = a.slots[:0], a.ends[:0], a.backs[:0]
	a.forget()
}

// command is the script call.
func (a *ask) command(ctx context.Context) *redis.StringSliceCmd {
	q, names := a.quota, &a.quota.c.keys[a.shard]
	a.sent, a.wants, a.refunds = time.Now(), len(a.slots), len(a.backs)
	hold := &q.none
	if a.sent.Sub(q.looked[a.shard]) >= lookPause {
		q.looked[a.shard], hold = a.sent, &q.hold
	}
	args := append(a.invoke(&quotaScript), 2, &names.quota, &names.reserved,
		&q.units, &q.words, &q.use, hold, &a.wants, &a.refunds)
	for _, s := range a.slots {
		args = append(args, &s.op.User)
	}
	for _, user := range a.backs {
		args = append(args, user)
	}
	for _, r := range a.ends {
		args = append(args, &r.id, &r.start, r.unused, r.unknown)
	}
	return a.spell(ctx, args)
}

// granted reads what a call was answered: its ops go with the next exchange.
func (q *quota) granted(a *ask) {
	reply, err := a.cmd.Result()
	switch {
	case errors.Is(err, errNewServer):
		q.tellAgain(a)
		for _, s := range a.slots {
			q.c.errand(errand{kind: verify, slot: s})
		}
	case err != nil:
		q.tellAgain(a)
		a.fail(fmt.Errorf("%w: reserve a like of the quota: %w", like.ErrUnavailable, err))
	default:
		if err := q.grant(a, reply); err != nil {
			a.fail(fmt.Errorf("%w: reserve a like of the quota: %w", like.ErrUnavailable, err))
		}
	}
}

// tellAgain repeats the ends of reservations, which may be repeated. A unit that was
// used and is given back is not: it might be given back twice.
func (q *quota) tellAgain(a *ask) {
	q.later()
	q.ended = append(q.ended, a.ends...)
}

// fail answers ops of which nothing was sent: the units that they may have got
// expire.
func (a *ask) fail(err error) {
	for _, s := range a.slots {
		s.fail(err)
	}
}

// grant reads {id, lefts, start, ends, until, expired} as quota.lua tells it.
func (q *quota) grant(a *ask, reply []string) error {
	if len(reply) != 6 || strings.Count(reply[1], " ")+min(1, len(reply[1])) != len(a.slots) {
		return fmt.Errorf("redis answered %q", reply)
	}
	ends, errEnds := strconv.ParseInt(reply[3], 10, 64)
	until, errUntil := strconv.ParseInt(reply[4], 10, 64)
	if err := errors.Join(errEnds, errUntil); err != nil {
		return fmt.Errorf("redis answered %q", reply)
	}
	r := &reservation{
		quota: q, shard: a.shard, id: reply[0], start: reply[2], until: until,
		over: a.sent.Add(holdTime),
	}
	lefts, window := reply[1], a.sent.Add(time.Duration(ends)*time.Millisecond)
	for _, s := range a.slots {
		var text string
		text, lefts, _ = strings.Cut(lefts, " ")
		left, err := strconv.Atoi(text)
		s.unit = unit{held: r, units: like.Units{Known: true, Left: left, Ends: window}}
		if err != nil || left < 0 {
			s.deny()
		} else {
			r.left++
		}
		q.ready = append(q.ready, s)
	}
	q.c.meter.units.asked(r.left, len(a.slots)-r.left, reply[5])
	return nil
}

// deny lets an op go on that can't be a like: it may only tell that its pair is liked,
// or be an unlike.
func (s *slot) deny() {
	s.unit.held, s.unit.denied, s.unit.want, s.unit.units.Left = nil, true, s.op.Want, 0
	if s.op.Want == like.Toggle {
		s.op.Want = like.NotLiked
	} else {
		s.op.Want = keep
	}
}
