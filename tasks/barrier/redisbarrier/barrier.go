package redisbarrier

import (
	"context"
	_ "embed"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"plusone/tasks/barrier"
)

//go:embed barrier.lua
var text string

// maxCall bounds how long one call keeps Redis from others, in ops.
const maxCall = 100

// Work is what a service does with an op, for each step the body of a Lua
// function. It may use
//
//	key[1]…             the keys that Keys has named
//	op.saga  op.item  op.user  op.receipt  op.liked     texts, and a boolean
//
// and returns nothing when the step is done. A text that Try returns is why it is
// rejected.
type Work struct {
	Keys            func(op barrier.Op) []string // at least one, all on one slot
	Try, Compensate string
}

// Barrier keeps the records of one participant.
type Barrier struct {
	participant string
	remember    time.Duration
	keys        func(op barrier.Op) []string
	script      *redis.Script
}

// New returns the barrier of a participant, a name within the service's Redis,
// around work. A record is remembered for so long after its last change: longer
// than plusone may still call, its --saga-patience and what its operators may
// retry by hand included.
func New(participant string, remember time.Duration, work Work) *Barrier {
	return &Barrier{participant, remember, work.Keys, redis.NewScript(
		"local function try(key, op)\n" + work.Try + "\nend\n" +
			"local function compensate(key, op)\n" + work.Compensate + "\nend\n" + text)}
}

// Pipeliner is a client of any kind.
type Pipeliner interface {
	Pipeline() redis.Pipeliner
}

// call is one run of the script: ops of one tag.
type call struct {
	places []int // of its ops in the batch
	ops    []barrier.Op
	keys   []string
	args   []any
	cmd    *redis.Cmd
}

// Do lets the work do those of ops, each of another saga, that are due, and
// answers all. It fails only for keys that are on no one slot: a store that fails
// is a retry for the ops that it has failed.
func (b *Barrier) Do(ctx context.Context, rdb Pipeliner, step barrier.Step, ops []barrier.Op) ([]barrier.Answer, error) {
	calls, err := b.calls(step, ops)
	if err != nil {
		return nil, err
	}
	b.send(ctx, rdb, calls)
	answers := make([]barrier.Answer, len(ops))
	for _, c := range calls {
		said, err := c.answers()
		for i, place := range c.places {
			if err != nil {
				answers[place] = c.ops[i].Retry("the store failed: " + err.Error())
			} else {
				answers[place] = said[i]
			}
		}
	}
	return answers, nil
}

// calls groups ops by tag, in order.
func (b *Barrier) calls(step barrier.Step, ops []barrier.Op) ([]*call, error) {
	var all []*call
	open := map[string]*call{} // by tag, not full
	for i, op := range ops {
		keys := b.keys(op)
		tag, err := tagOf(keys)
		if err != nil {
			return nil, fmt.Errorf("saga %s: %w", op.Saga, err)
		}
		c := open[tag]
		if c == nil || len(c.ops) == maxCall {
			c = &call{args: []any{string(step), b.remember.Milliseconds()}}
			open[tag], all = c, append(all, c)
		}
		c.add(i, op, "{"+tag+"}barrier:"+b.participant+":"+op.Saga, keys)
	}
	return all, nil
}

func (c *call) add(place int, op barrier.Op, record string, keys []string) {
	liked := "0"
	if op.Liked {
		liked = "1"
	}
	c.places, c.ops = append(c.places, place), append(c.ops, op)
	c.keys = append(append(c.keys, record), keys...)
	c.args = append(c.args, strconv.Itoa(len(keys)), op.Saga, op.Item, op.User, liked, op.Receipt)
}

// send runs all calls. In a pipeline a script that a server does not know is not
// sent again by itself; it has not run, so it goes with its text.
func (b *Barrier) send(ctx context.Context, rdb Pipeliner, calls []*call) {
	pipe := rdb.Pipeline()
	for _, c := range calls {
		c.cmd = pipe.EvalSha(ctx, b.script.Hash(), c.keys, c.args...)
	}
	_, _ = pipe.Exec(ctx) // each command tells its own error
	pipe = rdb.Pipeline()
	for _, c := range calls {
		if redis.HasErrorPrefix(c.cmd.Err(), "NOSCRIPT") {
			c.cmd = b.script.Eval(ctx, pipe, c.keys, c.args...)
		}
	}
	if pipe.Len() > 0 {
		_, _ = pipe.Exec(ctx)
	}
}

// answers reads what the script has returned.
func (c *call) answers() ([]barrier.Answer, error) {
	said, err := c.cmd.StringSlice()
	if err != nil {
		return nil, err
	}
	if len(said) != 2*len(c.ops) {
		return nil, fmt.Errorf("%d answers to %d ops", len(said)/2, len(c.ops))
	}
	answers := make([]barrier.Answer, len(c.ops))
	for i, op := range c.ops {
		switch result, reason := barrier.Result(said[2*i]), said[2*i+1]; result {
		case barrier.Done:
			answers[i] = op.Done()
		case barrier.Rejected:
			answers[i] = op.Rejected(reason)
		default:
			answers[i] = op.Retry(reason)
		}
	}
	return answers, nil
}
