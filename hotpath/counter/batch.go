package counter

import (
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
	shard  int
	names  *keys
	keys   []string // as the script wants them
	groups []group
	at     map[string]int // item → its group
	ops    int
}

// group is the ops on one item, in the order of their arrival.
type group struct {
	item  string
	slots []*slot
}

func newBatch(shard int, names *keys) *batch {
	return &batch{
		shard: shard, names: names, at: make(map[string]int),
		keys: []string{names.meta, names.counts, names.log, names.partly},
	}
}

func (b *batch) add(s *slot) {
	i, ok := b.at[s.op.Item]
	if !ok {
		i = len(b.groups)
		b.at[s.op.Item] = i
		b.groups = append(b.groups, group{item: s.op.Item})
		b.keys = append(b.keys, b.names.likers+s.op.Item)
	}
	b.groups[i].slots = append(b.groups[i].slots, s)
	b.ops++
}

// letters spell a like.Want for the script: first where an item begins, more behind.
const (
	first = "ULT"
	more  = "ult"
)

// args are the script's arguments; it must not be applied after before, which is
// in ms of Redis' clock, 0 for any time. Strings are pointed to: one in an
// interface would be an allocation of its own.
func (b *batch) args(opt Options, before int64) []any {
	wants, args := make([]byte, 0, b.ops), make([]any, 4, 4+b.ops)
	for i := range b.groups {
		letters := first
		for _, s := range b.groups[i].slots {
			wants = append(wants, letters[s.op.Want])
			args = append(args, &s.op.User)
			letters = more
		}
	}
	args[0], args[1], args[2], args[3] = opt.Shards, opt.MaxPending, before, wants
	return args
}

func (b *batch) each(f func(*slot)) {
	for i := range b.groups {
		for _, s := range b.groups[i].slots {
			f(s)
		}
	}
}

// settle answers a batch's ops, or sends them to the warmer.
func (c *Counter) settle(b *batch, cmd *redis.Cmd) {
	reply, err := cmd.Slice()
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
	case len(reply) == 1 && reply[0] == "late":
		err := fmt.Errorf("%w: the ops reached redis too late, or its clock was set", like.ErrBusy)
		b.each(func(s *slot) { s.fail(err) })
	default:
		c.answer(b, reply)
	}
}

// answer reads {id, outcomes, starts} as like.lua tells it.
func (c *Counter) answer(b *batch, reply []any) {
	id, outcomes, starts, ok := texts(reply, b)
	if !ok {
		b.each(func(s *slot) { s.fail(fmt.Errorf("%w: redis answered %v", like.ErrUnknown, reply)) })
		return
	}
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
		n := len(b.groups[i].slots)
		var start string
		start, starts, _ = strings.Cut(starts, "\n")
		if count, ok := c.answerGroup(&b.groups[i], outcomes[:n], start, receipt); ok {
			c.cache.put(b.groups[i].item, count, now)
		}
		outcomes = outcomes[n:]
	}
}

// answerGroup walks an item's count from start through its ops and returns the
// last; ok says that it is one.
func (c *Counter) answerGroup(g *group, outcomes, start string, receipt like.Receipt) (count int64, ok bool) {
	count, err := strconv.ParseInt(start, 10, 64)
	for i, s := range g.slots {
		res := like.Result{Liked: outcomes[i] == '+' || outcomes[i] == 'L'}
		switch outcomes[i] {
		case 'c':
			c.again(errand{kind: cold, shard: s.shard, item: g.item}, s)
			continue
		case 'u':
			c.again(errand{kind: unknown, shard: s.shard, item: g.item, user: s.op.User}, s)
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
		ok = err == nil
		s.settle(res)
	}
	return count, ok
}

// texts checks a reply's shape: one outcome per op, one count per item.
func texts(reply []any, b *batch) (id, outcomes, starts string, ok bool) {
	if len(reply) != 3 {
		return "", "", "", false
	}
	id, okID := reply[0].(string)
	outcomes, okOut := reply[1].(string)
	starts, okStarts := reply[2].(string)
	fits := len(outcomes) == b.ops && strings.Count(starts, "\n")+1 == len(b.groups)
	return id, outcomes, starts, okID && okOut && okStarts && fits
}
