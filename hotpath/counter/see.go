package counter

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"plusone/hotpath/like"
)

// see asks for all looks in one pipeline.
func (c *Counter) see(looks []*look, g grant) {
	defer c.interview.end()
	c.interview.sort(looks)
	ctx, cancel := context.WithTimeout(c.life, c.opt.Timeout)
	defer cancel()
	asked := time.Now()
	pipe := c.guarded.Pipeline()
	for _, q := range c.interview.asked {
		_ = pipe.Process(ctx, q.command(ctx, &c.opt)) // it only queues
	}
	_, err := pipe.Exec(ctx) // each command holds its own error, too
	c.opt.Fence.exchanged(err)
	for _, q := range c.interview.asked {
		if unknownScript(q.cmd.Err()) {
			_ = c.guarded.Process(ctx, q.withText(ctx)) // as above
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

// tell answers a question's looks, or sends them to the warmer.
func (c *Counter) tell(q *question, asked time.Time) {
	reply, err := q.cmd.Result()
	switch {
	case errors.Is(err, errNewServer):
		for _, l := range q.looks {
			c.errand(errand{kind: verify, look: l})
		}
	case err == nil && len(reply) == 1 && reply[0] == "closed":
		for _, l := range q.looks {
			c.errand(errand{kind: closed, shard: q.shard, look: l})
		}
	case err == nil && q.fits(reply):
		c.answerLooks(q, reply[0], reply[1], asked)
	default:
		if err == nil {
			err = fmt.Errorf("it answered %q", reply)
		}
		for _, l := range q.looks {
			l.fail(fmt.Errorf("%w: redis: %w", like.ErrUnavailable, err))
		}
	}
}

// fits reports whether a reply has a letter for each user and a line for each item.
func (q *question) fits(reply []string) bool {
	users := 0
	for i := range q.about {
		users += q.about[i].users
	}
	return len(reply) == 2 && len(reply[0]) == users && strings.Count(reply[1], "\n")+1 == len(q.about)
}

// answerLooks reads {liked, counts} as read.lua tells it.
func (c *Counter) answerLooks(q *question, liked, counts string, asked time.Time) {
	looks := q.looks
	for i := range q.about {
		a := &q.about[i]
		var count string
		count, counts, _ = strings.Cut(counts, "\n")
		n, err := strconv.ParseInt(count, 10, 64)
		if err == nil {
			c.cache.put(a.item, n, asked)
		}
		for _, l := range looks[:a.looks] {
			letter := byte('0')
			if l.user != "" {
				letter, liked = liked[0], liked[1:]
			}
			l.out = like.Reading{Item: l.item, Count: n, Liked: letter == '1', Source: like.FromRedis, AsOf: asked}
			l.cold, l.unknown = count == "", letter == 'u'
			switch {
			case letter == 'e':
				l.fail(fmt.Errorf("%w: item %s: its set of likers can't be read", like.ErrUnavailable, l.item))
			case err != nil && !l.cold:
				l.fail(fmt.Errorf("%w: item %s: %w", like.ErrUnavailable, l.item, err))
			default:
				l.settle()
			}
		}
		looks = looks[a.looks:]
	}
}
