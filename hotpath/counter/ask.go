package counter

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"plusone/hotpath/like"
)

// ask is one call of quota.lua: ops whose users, all of one shard, want a unit, and
// what has become of earlier ones.
type ask struct {
	invocation

	quota *quota
	shard int
	nth   int // of the calls for its shard, in this exchange
	slots []*slot
	ends  []*reservation
	backs []*string // users

	wants, refunds int // as arguments
	sent           time.Time

	in    *batch // that was last given a place for the slip
	place int    // among the slips of that batch, from 1
}

// ask adds an op to the call for its user, and that call's slip to the op's batch.
func (q *quota) ask(b *batch, s *slot) {
	a := q.at(ShardOf(s.op.User, q.c.opt.Shards), 1)
	a.slots = append(a.slots, s)
	if a.in != b {
		b.asks = append(b.asks, a)
		a.in, a.place = b, len(b.asks)
	}
	s.unit = unit{slip: a.place, nth: len(a.slots)}
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
	a.shard, a.nth = shard, 0
	if before := q.open[shard]; before != nil {
		a.nth = before.nth + 1
	}
	if a.nth == len(q.slips) {
		q.slips = append(q.slips, q.lane+strconv.Itoa(a.nth))
	}
	q.open[shard] = a
	q.asks = append(q.asks, a)
	return a
}

// empty makes room for the next exchange.
func (a *ask) empty() {
	clear(a.slots)
	clear(a.ends)
	clear(a.backs)
	a.slots, a.ends, a.backs, a.in = a.slots[:0], a.ends[:0], a.backs[:0], nil
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
		&q.units, &q.words, &q.use, hold, &a.wants, &a.refunds, &q.slips[a.nth], &q.number)
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

// granted reads what a call was answered, before the answers of its ops are read.
func (q *quota) granted(a *ask) {
	reply, err := a.cmd.Result()
	if err != nil {
		q.tellAgain(a)
	} else {
		err = q.grant(a, reply)
	}
	if err == nil {
		return
	}
	err = fmt.Errorf("%w: reserve a like of the quota: %w", like.ErrUnavailable, err)
	for _, s := range a.slots {
		s.unit.err = err
	}
}

// tellAgain repeats the ends of reservations, which may be repeated. A unit that was
// used and is given back is not: it might be given back twice.
func (q *quota) tellAgain(a *ask) {
	q.later()
	q.ended = append(q.ended, a.ends...)
}

// grant reads {id, lefts, start, ends, expired} as quota.lua tells it.
func (q *quota) grant(a *ask, reply []string) error {
	if len(reply) != 5 || strings.Count(reply[1], " ")+min(1, len(reply[1])) != len(a.slots) {
		return fmt.Errorf("redis answered %q", reply)
	}
	ends, err := strconv.ParseInt(reply[3], 10, 64)
	if err != nil {
		return fmt.Errorf("redis answered %q", reply)
	}
	r := &reservation{quota: q, shard: a.shard, id: reply[0], start: reply[2], over: a.sent.Add(holdTime)}
	lefts, window := reply[1], a.sent.Add(time.Duration(ends)*time.Millisecond)
	for _, s := range a.slots {
		var text string
		text, lefts, _ = strings.Cut(lefts, " ")
		left, err := strconv.Atoi(text)
		s.unit.units = like.Units{Known: true, Left: max(left, 0), Ends: window}
		if err != nil || left < 0 {
			s.unit.denied = true
		} else {
			s.unit.held = r
			r.left++
		}
	}
	q.c.meter.units.asked(r.left, len(a.slots)-r.left, reply[4])
	return nil
}
