package counter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"plusone/hotpath/like"
)

const (
	maxVotes = 128 // that one script call carries: bounds how long Redis is busy with it
	// refsMost is how many refs a shard keeps, beside those that the ledger may lack.
	// What is known of them is what a ledger that has lost them gets back.
	refsMost = 16_384
)

// voteLane sends the votes that have gathered while the previous ones were under way:
// it asks the ledger about all of them at once, then Redis. Votes are rare beside
// likes, so Redis does not know them all.
func (c *Counter) voteLane() {
	for {
		ballots, ok := c.votes.take(maxErrands)
		if !ok {
			return
		}
		c.poll(ballots)
		c.votes.give(ballots, false)
	}
}

// poll asks both stores about votes and passes the answers on.
func (c *Counter) poll(ballots []*ballot) {
	boxes, err := c.look(ballots)
	g := c.opt.Fence.now(c.life)
	if g.way != toRedis {
		err = g.refusal()
	}
	if err != nil {
		for _, b := range ballots {
			b.fail(err)
		}
		return
	}
	c.cast(boxes, g)
	believed := g.believes()
	for _, box := range boxes {
		if !believed {
			box.fail(errLate)
			continue
		}
		c.settleVotes(box)
	}
}

// box is one call of vote.lua.
type box struct {
	invocation

	shard   int
	known   like.Version // the watermark when the ledger was asked
	ballots []*ballot
}

func (b *box) fail(err error) {
	for _, v := range b.ballots {
		v.fail(err)
	}
}

// look asks the ledger about votes, which it sorts by shard.
func (c *Counter) look(ballots []*ballot) ([]*box, error) {
	items, refs, shards := make([]string, len(ballots)), make([]string, len(ballots)), make([]int, len(ballots))
	for i, b := range ballots {
		items[i], refs[i], shards[i] = b.op.Item, b.op.Ref, b.shard
	}
	ctx, cancel := context.WithTimeout(c.life, c.opt.Timeout)
	defer cancel()
	states, marks, err := c.src.Votes(ctx, items, refs, shards)
	if err != nil {
		return nil, fmt.Errorf("%w: ask the ledger about votes: %w", like.ErrUnavailable, err)
	}
	var boxes []*box
	open := map[int]*box{}
	for i, b := range ballots {
		b.told = states[i]
		in := open[b.shard]
		if in == nil || len(in.ballots) == maxVotes {
			in = &box{shard: b.shard, known: marks[i]}
			open[b.shard] = in
			boxes = append(boxes, in)
		}
		in.ballots = append(in.ballots, b)
	}
	return boxes, nil
}

// cast sends the calls in one exchange, without the ballots that nobody waits for.
func (c *Counter) cast(boxes []*box, g grant) {
	ctx, cancel := context.WithTimeout(c.life, c.opt.Timeout)
	defer cancel()
	before, now := c.before(g), time.Now()
	pipe := c.guarded.Pipeline()
	for _, box := range boxes {
		box.ballots = slices.DeleteFunc(box.ballots, func(b *ballot) bool {
			gone := b.late(now) || !b.goOut()
			if gone {
				b.fail(fmt.Errorf("%w: the vote waited too long", like.ErrBusy))
			}
			return gone
		})
		_ = pipe.Process(ctx, box.command(ctx, c, before)) // it only queues
	}
	_, err := pipe.Exec(ctx) // each command holds its own error, too
	c.opt.Fence.exchanged(err)
	for _, box := range boxes {
		if unknownScript(box.cmd.Err()) {
			_ = c.guarded.Process(ctx, box.withText(ctx))
		}
	}
}

func (b *box) command(ctx context.Context, c *Counter, before int64) *redis.StringSliceCmd {
	k := &c.keys[b.shard]
	args := append(b.invoke(&voteScript), 5, k.meta, k.counts, k.log, k.votes, k.refs,
		c.opt.Shards, c.opt.MaxPending, before, b.known.String(), c.refs, int64(like.MaxVoted))
	for _, v := range b.ballots {
		args = append(args, v.op.Item, v.op.Ref, wantVote[v.op.Want], v.op.Weight, v.told.String())
	}
	return b.spell(ctx, args)
}

// wantVote spells a like.VoteWant for the script.
var wantVote = [...]string{like.LookAtVote: "?", like.CountVote: "+", like.RefundVote: "-"}

// settleVotes answers the votes of one call, or sends them to the warmer.
func (c *Counter) settleVotes(b *box) {
	reply, err := b.cmd.Result()
	switch {
	case errors.Is(err, errNewServer):
		c.fetchFor(b.ballots, errand{kind: verify})
	case err != nil:
		b.fail(sent(err))
	case len(reply) == 1 && reply[0] == "closed":
		c.fetchFor(b.ballots, errand{kind: closed, shard: b.shard})
	case len(reply) == 1 && reply[0] == "full":
		b.fail(fmt.Errorf("%w: the log of shard %d is full, the ledger lags behind", like.ErrBusy, b.shard))
	case len(reply) == 1 && reply[0] == "late":
		b.fail(fmt.Errorf("%w: the votes reached redis too late, or its clock was set", like.ErrBusy))
	case len(reply) != 1+len(b.ballots):
		b.fail(fmt.Errorf("%w: redis answered %q", like.ErrUnknown, reply))
	default:
		for i, v := range b.ballots {
			c.settleVote(v, reply[1+i])
		}
	}
}

// fetchFor hands votes to the warmer that Redis has not applied.
func (c *Counter) fetchFor(ballots []*ballot, e errand) {
	for _, b := range ballots {
		b.comeBack()
		e.vote = b
		c.errand(e)
	}
}

// settleVote takes one line of vote.lua.
func (c *Counter) settleVote(b *ballot, line string) {
	letter, rest, _ := strings.Cut(line, " ")
	switch letter {
	case "k":
		b.settle(c.voted(b, rest))
	case "n":
		b.fail(fmt.Errorf("%w: no such vote", like.ErrNotFound))
	case "x":
		b.fail(like.ErrVoteConflict)
	case "f":
		b.fail(like.ErrFrozen)
	case "b":
		b.fail(like.ErrCountLimit)
	case "c":
		c.fetchFor([]*ballot{b}, errand{kind: cold, shard: b.shard, item: b.op.Item})
	case "a":
		b.comeBack()
		c.warm.later([]errand{{vote: b}})
	default:
		c.meter.refused.Inc()
		b.fail(fmt.Errorf("%w: %s", like.ErrUnavailable, rest))
	}
}

// voted reads what became of a vote: "+5 1795246582056-0 12". What the last entry of
// the log may have made is told to the fence and rung for, also when it was an
// earlier call whose answer was lost.
func (c *Counter) voted(b *ballot, text string) like.Voted {
	i := strings.LastIndexByte(text, ' ')
	state, err := like.ParseVoteState(text[:max(i, 0)])
	n, failed := strconv.ParseInt(text[i+1:], 10, 64)
	if err = errors.Join(err, failed); err != nil {
		return like.Voted{Err: fmt.Errorf("%w: redis answered %q: %w", like.ErrUnknown, text, err)}
	}
	v := like.Voted{VoteState: state, Receipt: like.Receipt{Shard: b.shard, Version: state.Version}}
	if b.op.Want == like.LookAtVote {
		return v
	}
	v.Count = n
	c.opt.Fence.saw(state.Version)
	c.opt.Changed(b.shard)
	c.cache.put(b.op.Item, n, time.Now())
	return v
}
