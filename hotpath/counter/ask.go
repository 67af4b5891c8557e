package counter

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"plusone/hotpath/like"
)

// ask is one call of quota.lua, before the calls of like.lua in an exchange.
type ask struct {
	invocation

	quota *quota
	parts []*part
	size  int // ops and what else the parts carry
	nth   int // of the calls of its exchange: each has slips of its own
	sent  time.Time
}

// part is what a call asks and tells of one shard: ops whose users want a unit, and what
// has become of earlier ones.
type part struct {
	ask   *ask
	shard int
	slots []*slot
	ends  []*reservation
	backs []*string // users

	hold, wants, refunds, ended int // as arguments

	in    *batch // that was last given a place for the slip
	place int    // among the slips of that batch, from 1
}

// want adds an op to the part for its user, and that part's slip to the op's batch.
func (q *quota) want(b *batch, s *slot) {
	p := q.at(ShardOf(s.op.User, q.c.opt.Shards))
	p.slots = append(p.slots, s)
	if p.in != b {
		b.slips = append(b.slips, p)
		p.in, p.place = b, len(b.slips)
	}
	s.unit = unit{slip: p.place, nth: len(p.slots)}
}

// at is the part for a shard that one thing more is put into: of the last call, unless
// that is full.
func (q *quota) at(shard int) *part {
	a := q.last()
	if a == nil || a.size == maxScript {
		a = q.begin()
	}
	a.size++
	p := q.open[shard]
	if p == nil || p.ask != a {
		p = a.begin(shard)
		q.open[shard] = p
	}
	return p
}

func (q *quota) last() *ask {
	if len(q.asks) == 0 {
		return nil
	}
	return q.asks[len(q.asks)-1]
}

// begin makes the next call of the exchange.
func (q *quota) begin() *ask {
	nth := len(q.asks)
	if nth == len(q.spare) {
		q.spare = append(q.spare, &ask{quota: q, nth: nth})
		q.slips = append(q.slips, q.lane+strconv.Itoa(nth))
	}
	q.asks = q.spare[:nth+1]
	return q.asks[nth]
}

// begin makes a part.
func (a *ask) begin(shard int) *part {
	n := len(a.parts)
	if n == cap(a.parts) {
		a.parts = append(a.parts, &part{ask: a})
	} else if a.parts = a.parts[:n+1]; a.parts[n] == nil {
		a.parts[n] = &part{ask: a}
	}
	a.parts[n].shard = shard
	return a.parts[n]
}

// empty makes room for the next exchange.
func (a *ask) empty() {
	for _, p := range a.parts {
		clear(p.slots)
		clear(p.ends)
		clear(p.backs)
		p.slots, p.ends, p.backs, p.in = p.slots[:0], p.ends[:0], p.backs[:0], nil
	}
	a.parts, a.size = a.parts[:0], 0
	a.forget()
}

// command is the script call.
func (a *ask) command(ctx context.Context) *redis.StringSliceCmd {
	q := a.quota
	a.sent = time.Now()
	args := append(a.invoke(&quotaScript), 2*len(a.parts))
	for _, p := range a.parts {
		args = append(args, &q.c.keys[p.shard].quota, &q.c.keys[p.shard].reserved)
	}
	args = append(args, &q.units, &q.words, &q.use, &q.slips[a.nth], &q.number)
	for _, p := range a.parts {
		p.hold, p.wants, p.refunds, p.ended = 0, len(p.slots), len(p.backs), len(p.ends)
		if a.sent.Sub(q.looked[p.shard]) >= lookPause {
			q.looked[p.shard], p.hold = a.sent, int(holdTime.Milliseconds())
		}
		args = append(args, &p.hold, &p.wants, &p.refunds, &p.ended)
		for _, s := range p.slots {
			args = append(args, &s.op.User)
		}
		for _, user := range p.backs {
			args = append(args, user)
		}
		for _, r := range p.ends {
			args = append(args, &r.id, &r.start, r.unused, r.unknown)
		}
	}
	return a.spell(ctx, args)
}

// answers are what a part is answered.
const answers = 5

// granted reads what a call was answered, before the answers of its ops are read.
func (q *quota) granted(a *ask) {
	reply, err := a.cmd.Result()
	if err == nil && len(reply) != answers*len(a.parts) {
		err = fmt.Errorf("redis answered %q", reply)
	}
	for i, p := range a.parts {
		err := err
		if err == nil {
			err = q.grant(p, reply[answers*i:][:answers])
		}
		if err != nil {
			q.refuse(p, fmt.Errorf("%w: reserve a like of the quota: %w", like.ErrUnavailable, err))
		}
	}
}

// refuse notes why nobody got a unit, and lets the ends of reservations be told again,
// which may be repeated. A unit that was used and is given back is not: it might be
// given back twice.
func (q *quota) refuse(p *part, err error) {
	for _, s := range p.slots {
		s.unit.err = err
	}
	q.later()
	q.ended = append(q.ended, p.ends...)
}

// grant reads {id, lefts, start, ends, expired} as quota.lua tells it.
func (q *quota) grant(p *part, reply []string) error {
	if reply[0] == "failed" {
		return errors.New(reply[1])
	}
	if strings.Count(reply[1], " ")+min(1, len(reply[1])) != len(p.slots) {
		return fmt.Errorf("redis answered %q", reply)
	}
	ends, err := strconv.ParseInt(reply[3], 10, 64)
	if err != nil {
		return fmt.Errorf("redis answered %q", reply)
	}
	r := &reservation{quota: q, shard: p.shard, id: reply[0], start: reply[2], over: p.ask.sent.Add(holdTime)}
	lefts, window := reply[1], p.ask.sent.Add(time.Duration(ends)*time.Millisecond)
	for _, s := range p.slots {
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
	q.c.meter.units.asked(r.left, len(p.slots)-r.left, reply[4])
	return nil
}
