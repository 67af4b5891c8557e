package counter

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"plusone/hotpath/like"
)

// look is one question: an item's count, and whether user likes it. It is owned
// like a slot.
type look struct {
	item, user string
	shard      int
	out        like.Reading
	cold       bool // Redis does not have the item
	unknown    bool // Redis has it, and knows nothing of the user
	err        error
	call       *readCall
}

// readCall is one Read and who waits for it.
type readCall struct {
	looks    []look
	waiting  []*look
	deadline time.Time
	left     atomic.Int32
	done     chan struct{}
}

func (l *look) settle() {
	if l.call.left.Add(-1) == 0 {
		close(l.call.done)
	}
}

func (l *look) fail(err error) {
	l.err = err
	l.settle()
}

func (l *look) late(now time.Time) bool { return now.After(l.call.deadline) }

// Read answers one Reading per item, order kept; user "" means that nobody asks
// who likes it. Items that Redis does not hold, and users of whom a partly
// resident item knows nothing, are answered by the ledger at once (their log is
// drained, so it knows all of them) and loaded behind the answer.
func (c *Counter) Read(ctx context.Context, items []string, user string) ([]like.Reading, error) {
	call := c.newReadCall(ctx, items, user)
	if !c.reads.put(call.waiting...) {
		return nil, fmt.Errorf("%w: the queue of reads is full", like.ErrBusy)
	}
	select {
	case <-call.done:
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", like.ErrUnavailable, ctx.Err())
	}
	out := make([]like.Reading, len(items))
	var missing []*look
	for i := range call.looks {
		l := &call.looks[i]
		if l.err != nil {
			return nil, l.err
		}
		if l.cold || l.unknown {
			missing = append(missing, l)
		}
	}
	if len(missing) > 0 {
		if err := c.ask(ctx, missing); err != nil && !c.guess(missing) {
			return nil, err
		}
	}
	for i := range call.looks {
		out[i] = call.looks[i].out
	}
	return out, nil
}

func (c *Counter) newReadCall(ctx context.Context, items []string, user string) *readCall {
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(c.opt.LoadTime)
	}
	call := &readCall{
		looks: make([]look, len(items)), waiting: make([]*look, len(items)),
		deadline: deadline, done: make(chan struct{}),
	}
	call.left.Store(int32(len(items)))
	for i, item := range items {
		call.looks[i] = look{item: item, user: user, shard: ShardOf(item, c.opt.Shards), call: call}
		call.waiting[i] = &call.looks[i]
	}
	if len(items) == 0 {
		close(call.done)
	}
	return call
}

// ask completes looks from the ledger.
func (c *Counter) ask(ctx context.Context, missing []*look) error {
	items, users := make([]string, len(missing)), make([]string, len(missing))
	for i, l := range missing {
		items[i], users[i] = l.item, l.user
	}
	known, err := c.src.Counts(ctx, items, users)
	if err != nil {
		return fmt.Errorf("%w: %w", like.ErrUnavailable, err)
	}
	for i, l := range missing {
		switch {
		case l.unknown: // its count in Redis is newer
			l.out.Liked = known[i].Liked
			c.errand(errand{kind: unknown, shard: l.shard, item: l.item, user: l.user})
		case known[i].Count > 0:
			c.errand(errand{kind: cold, shard: l.shard, item: l.item})
			fallthrough
		default:
			l.out = known[i]
		}
	}
	return nil
}

// readLane is the writeLane's twin for reads.
func (c *Counter) readLane() {
	for {
		looks, ok := c.reads.take(maxFlush)
		if !ok {
			return
		}
		if g := c.opt.Fence.now(c.life); g.way == toRedis {
			c.see(looks, g)
		} else {
			c.seeAway(looks, g)
		}
		c.reads.give(looks, false)
	}
}

// see asks for all looks in one pipeline, a script call per shard and at most
// maxScript questions.
func (c *Counter) see(looks []*look, g grant) {
	var batches []*question
	open := make(map[int]*question, min(len(looks), c.opt.Shards))
	for _, l := range looks {
		q := open[l.shard]
		if q == nil || len(q.looks) == maxScript {
			q = &question{shard: l.shard}
			open[l.shard] = q
			batches = append(batches, q)
		}
		q.looks = append(q.looks, l)
	}
	ctx, cancel := context.WithTimeout(c.life, c.opt.Timeout)
	defer cancel()
	asked := time.Now()
	pipe := c.guarded.Pipeline()
	for _, q := range batches {
		names, args := q.args(c)
		q.cmd = pipe.EvalSha(ctx, readScript.sha, names, args...)
	}
	_, err := pipe.Exec(ctx) // each command holds its own error, too
	c.opt.Fence.exchanged(err)
	for _, q := range batches {
		if unknownScript(q.cmd.Err()) {
			names, args := q.args(c)
			q.cmd = c.guarded.Eval(ctx, readScript.text, names, args...)
		}
		if g.believes() {
			c.tell(q, asked)
			continue
		}
		for _, l := range q.looks { // others may write to the ledger by now
			c.retry(errand{look: l})
		}
	}
}

// question is one call of read.lua.
type question struct {
	shard int
	looks []*look
	cmd   *redis.Cmd
}

func (q *question) args(c *Counter) ([]string, []any) {
	k := &c.keys[q.shard]
	names, args := make([]string, 0, 3+len(q.looks)), make([]any, 0, 1+len(q.looks))
	names, args = append(names, k.meta, k.counts, k.partly), append(args, c.opt.Shards)
	for _, l := range q.looks {
		names, args = append(names, k.likers+l.item), append(args, &l.user)
	}
	return names, args
}

// tell answers a question's looks, or sends them to the warmer.
func (c *Counter) tell(q *question, asked time.Time) {
	reply, err := q.cmd.StringSlice()
	for i, l := range q.looks {
		switch {
		case errors.Is(err, errNewServer):
			c.errand(errand{kind: verify, look: l})
		case err != nil:
			l.fail(fmt.Errorf("%w: redis: %w", like.ErrUnavailable, err))
		case len(reply) == 1 && reply[0] == "closed":
			c.errand(errand{kind: closed, shard: q.shard, look: l})
		case len(reply) != 1+len(q.looks) || len(reply[0]) != len(q.looks):
			l.fail(fmt.Errorf("%w: redis answered %q", like.ErrUnavailable, reply))
		default:
			l.answer(reply[0][i], reply[1+i], asked)
			if l.err == nil && !l.cold {
				c.cache.put(l.item, l.out.Count, asked)
			}
		}
	}
}

// answer takes one letter and count of read.lua.
func (l *look) answer(letter byte, count string, asked time.Time) {
	n, err := strconv.ParseInt(count, 10, 64)
	switch {
	case letter == 'e':
		err = errors.New("its set of likers can't be read")
	case letter == 'c':
		l.cold = true
	case letter == 'u':
		l.unknown = true
	}
	if err != nil {
		l.fail(fmt.Errorf("%w: item %s: %w", like.ErrUnavailable, l.item, err))
		return
	}
	l.out = like.Reading{Item: l.item, Count: n, Liked: letter == '1', Source: like.FromRedis, AsOf: asked}
	l.settle()
}
