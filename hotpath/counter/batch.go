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

// batch is one call of like.lua: ops of one shard, grouped by item.
type batch struct {
	invocation

	shard  int
	names  *keys
	groups []group
	ops    int

	slips []*part // that its ops have letters on

	room []byte // for spelling one argument
	// Arguments, see command.
	late int64
	many int // slips
}

// group is the ops on one item, in the order of their arrival.
type group struct {
	item        string
	n           int
	first, last *slot
	batch       *batch
}

func newBatch(shard int, names *keys) *batch { return &batch{shard: shard, names: names} }

// begin makes a group for an item and tells its number.
func (b *batch) begin(item string) int {
	b.groups = append(b.groups, group{item: item, batch: b})
	return len(b.groups) - 1
}

// put appends a slot to a group.
func (b *batch) put(at int, s *slot) {
	g := &b.groups[at]
	s.after = nil
	if g.n == 0 {
		g.first = s
	} else {
		g.last.after = s
	}
	g.last = s
	g.n++
	b.ops++
}

// empty makes room for the next exchange.
func (b *batch) empty() {
	clear(b.groups)
	clear(b.slips)
	b.groups, b.slips, b.ops = b.groups[:0], b.slips[:0], 0
	b.forget()
}

// Some kinds of arguments are spelled when the command is written: one in an
// interface would be an allocation of its own.
type (
	likersKey group
	wants     batch
	places    batch
)

// MarshalBinary names the item's set.
func (g *likersKey) MarshalBinary() ([]byte, error) {
	b := g.batch
	b.room = append(append(b.room[:0], b.names.likers...), g.item...)
	return b.room, nil
}

// letters spell a like.Want for the script: first where an item begins, more behind.
const (
	first = "ULT"
	more  = "ult"
)

// MarshalBinary has a letter for each op.
func (b *wants) MarshalBinary() ([]byte, error) {
	b.room = b.room[:0]
	for i := range b.groups {
		letters := first
		for s := b.groups[i].first; s != nil; s = s.after {
			b.room = append(b.room, letters[s.op.Want])
			letters = more
		}
	}
	return b.room, nil
}

// MarshalBinary has six digits for each op: the place of its slip, and its own on that.
func (b *places) MarshalBinary() ([]byte, error) {
	b.room = b.room[:0]
	for i := range b.groups {
		for s := b.groups[i].first; s != nil; s = s.after {
			b.room = threeDigits(threeDigits(b.room, s.unit.slip), s.unit.nth)
		}
	}
	return b.room, nil
}

func threeDigits(b []byte, n int) []byte {
	return append(b, byte('0'+n/100), byte('0'+n/10%10), byte('0'+n%10))
}

// command is the script call, which must not be applied after before, in ms of
// Redis' clock, 0 for any time.
func (b *batch) command(ctx context.Context, opt *Options, before int64) *redis.StringSliceCmd {
	b.late, b.many = before, len(b.slips)
	args := append(b.invoke(&likeScript), 4+b.many+len(b.groups),
		&b.names.meta, &b.names.counts, &b.names.log, &b.names.partly)
	for _, p := range b.slips {
		args = append(args, &p.ask.quota.c.keys[p.shard].quota)
	}
	for i := range b.groups {
		args = append(args, (*likersKey)(&b.groups[i]))
	}
	args = append(args, &opt.Shards, &opt.MaxPending, &b.late, (*wants)(b), &b.many)
	if b.many > 0 {
		args = append(args, &b.slips[0].ask.quota.number, (*places)(b))
		for _, p := range b.slips {
			args = append(args, &p.ask.quota.slips[p.ask.nth])
		}
	}
	for i := range b.groups {
		for s := b.groups[i].first; s != nil; s = s.after {
			args = append(args, &s.op.User)
		}
	}
	return b.spell(ctx, args)
}

// each gives every slot away.
func (b *batch) each(f func(*slot)) {
	for i := range b.groups {
		for next := b.groups[i].first; next != nil; {
			s := next
			next = s.after // s is gone after f
			f(s)
		}
	}
}

// settle answers a batch's ops, or sends them to the warmer.
func (c *Counter) settle(b *batch) {
	reply, err := b.cmd.Result()
	switch {
	case errors.Is(err, errNewServer):
		b.each(func(s *slot) { c.again(errand{kind: verify}, s) })
	case err != nil:
		err = sent(err)
		b.each(func(s *slot) { s.fail(err) })
	case len(reply) == 1 && reply[0] == "closed":
		b.each(func(s *slot) { c.again(errand{kind: closed, shard: b.shard}, s) })
	case len(reply) == 1 && reply[0] == "full":
		err := fmt.Errorf("%w: the log of shard %d is full, the ledger lags behind", like.ErrBusy, b.shard)
		b.each(func(s *slot) { s.fail(err) })
	case len(reply) == 1 && reply[0] == "unreserved":
		b.each(c.reserveAgain)
	case len(reply) == 1 && reply[0] == "late":
		err := fmt.Errorf("%w: the ops reached redis too late, or its clock was set", like.ErrBusy)
		b.each(func(s *slot) { s.fail(err) })
	default:
		c.answer(b, reply)
	}
}

// reserveAgain ends an op that can't have a unit, or sends it once more.
func (c *Counter) reserveAgain(s *slot) {
	if err := s.unit.err; err != nil {
		s.fail(err)
		return
	}
	s.comeBack()
	s.unit.drop(s)
	c.retry(errand{slot: s})
}

// answer reads {id, outcomes, starts} as like.lua tells it.
func (c *Counter) answer(b *batch, reply []string) {
	if len(reply) != 3 || len(reply[1]) != b.ops || strings.Count(reply[2], "\n")+1 != len(b.groups) {
		b.each(func(s *slot) { s.fail(fmt.Errorf("%w: redis answered %q", like.ErrUnknown, reply)) })
		return
	}
	id, outcomes, starts := reply[0], reply[1], reply[2]
	var receipt like.Receipt
	if id != "" {
		v, err := like.ParseVersion(id)
		if err != nil {
			b.each(func(s *slot) { s.fail(fmt.Errorf("%w: redis gave the log id %q", like.ErrUnknown, id)) })
			return
		}
		receipt = like.Receipt{Shard: b.shard, Version: v}
		c.opt.Fence.saw(v)
		c.opt.Changed(b.shard)
	}
	now := time.Now()
	for i := range b.groups {
		g := &b.groups[i]
		var start string
		start, starts, _ = strings.Cut(starts, "\n")
		if count, ok := lastCount(start, outcomes[:g.n]); ok { // before whoever is answered reads it
			c.cache.put(g.item, count, now)
		}
		c.answerGroup(g, outcomes[:g.n], start, receipt)
		outcomes = outcomes[g.n:]
	}
}

// lastCount is an item's count after its ops; ok says that start was one.
func lastCount(start, outcomes string) (count int64, ok bool) {
	if strings.ContainsAny(outcomes, "ce") {
		return 0, false
	}
	count, err := strconv.ParseInt(start, 10, 64)
	return count + int64(strings.Count(outcomes, "+")-strings.Count(outcomes, "-")), err == nil
}

// answerGroup walks an item's count from start through its ops.
func (c *Counter) answerGroup(g *group, outcomes, start string, receipt like.Receipt) {
	count, err := strconv.ParseInt(start, 10, 64)
	next := g.first
	for i := range g.n {
		s := next
		next = s.after // s is gone once it is settled
		res := like.Result{Liked: outcomes[i] == '+' || outcomes[i] == 'L'}
		switch outcomes[i] {
		case 'c':
			c.again(errand{kind: cold, shard: s.shard, item: g.item}, s)
			continue
		case 'u':
			c.again(errand{kind: unknown, shard: s.shard, item: g.item, user: s.op.User}, s)
			continue
		case 'f':
			s.fail(like.ErrFrozen)
			continue
		case 'e':
			c.meter.refused.Inc()
			s.fail(fmt.Errorf("%w: %s", like.ErrUnavailable, start))
			continue
		case '+':
			count++
			res.Changed = true
		case '-':
			count--
			res.Changed = true
		}
		if res.Changed {
			res.Receipt = receipt
		}
		if res.Count = count; err != nil {
			res.Err = fmt.Errorf("%w: the stored count is %q", like.ErrUnknown, start)
		}
		s.settle(res)
	}
}
