package counter

import (
	"cmp"
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

// maxAsked is how many users a question asks about an item: a byte tells it.
const maxAsked = 255

// question is one call of read.lua: looks of one shard, those on one item side by
// side. Its memory is used again by whose turn it is at reads.
type question struct {
	shard int
	names *keys
	about []about
	looks []*look // of all items

	args []any                 // of the command, which points into the question
	cmd  *redis.StringSliceCmd // once it is sent
	room []byte                // for spelling one argument
}

// about is an item, and how many of the looks are on it.
type about struct {
	item     string
	looks    int
	users    int // of those, how many ask whether somebody likes it
	question *question
}

// interview is the questions of one exchange.
type interview struct {
	names  []keys
	asked  []*question
	spare  []*question
	ranked []ranked
}

// ranked is a look and its place: by shard, then by what else its item's hash tells.
// Looks on one item stand side by side; should two items have one place they may be
// mixed, which costs time and nothing else.
type ranked struct {
	place uint64
	look  *look
}

// sort makes questions of looks, whose order it changes. A question has at most
// maxScript looks.
func (v *interview) sort(looks []*look) {
	v.ranked = v.ranked[:0]
	for _, l := range looks {
		v.ranked = append(v.ranked, ranked{uint64(l.shard)<<52 | l.hash/Buckets, l})
	}
	slices.SortFunc(v.ranked, func(a, b ranked) int { return cmp.Compare(a.place, b.place) })
	for i, r := range v.ranked {
		looks[i] = r.look
	}
	clear(v.ranked)
	var q *question
	from := 0
	for i, l := range looks {
		if q == nil || q.shard != l.shard || i-from == maxScript {
			q, from = v.begin(l.shard), i
		}
		q.looks = looks[from : i+1]
		q.add(l)
	}
}

func (q *question) add(l *look) {
	last := len(q.about) - 1
	if last < 0 || q.about[last].item != l.item || q.about[last].users == maxAsked {
		q.about = append(q.about, about{item: l.item, question: q})
		last++
	}
	a := &q.about[last]
	a.looks++
	if l.user != "" {
		a.users++
	}
}

func (v *interview) begin(shard int) *question {
	var q *question
	if last := len(v.spare) - 1; last >= 0 {
		q, v.spare = v.spare[last], v.spare[:last]
	} else {
		q = new(question)
	}
	q.shard, q.names = shard, &v.names[shard]
	v.asked = append(v.asked, q)
	return q
}

// end forgets what was asked. All looks have been given away.
func (v *interview) end() {
	for _, q := range v.asked {
		clear(q.about)
		clear(q.args)
		q.about, q.args, q.looks, q.cmd = q.about[:0], q.args[:0], nil, nil
	}
	v.spare = append(v.spare, v.asked...)
	v.asked = v.asked[:0]
}

// aboutSizes spells the arguments that are made when the command is written, as a
// batch's are.
type aboutSizes question

// MarshalBinary names the item's set.
func (a *about) MarshalBinary() ([]byte, error) {
	q := a.question
	q.room = append(append(q.room[:0], q.names.likers...), a.item...)
	return q.room, nil
}

// MarshalBinary has a byte for each item.
func (q *aboutSizes) MarshalBinary() ([]byte, error) {
	q.room = q.room[:0]
	for i := range q.about {
		q.room = append(q.room, byte(q.about[i].users))
	}
	return q.room, nil
}

func (q *question) command(ctx context.Context, opt *Options) *redis.StringSliceCmd {
	args := append(q.args[:0], "evalsha", &readScript.sha, 3+len(q.about), &q.names.meta, &q.names.counts, &q.names.partly)
	for i := range q.about {
		args = append(args, &q.about[i])
	}
	args = append(args, &opt.Shards, (*aboutSizes)(q))
	for _, l := range q.looks {
		if l.user != "" {
			args = append(args, &l.user)
		}
	}
	q.args = args
	return q.spell(ctx)
}

// withText is the command for a server that does not know the script.
func (q *question) withText(ctx context.Context) *redis.StringSliceCmd {
	q.args[0], q.args[1] = "eval", &readScript.text
	return q.spell(ctx)
}

func (q *question) spell(ctx context.Context) *redis.StringSliceCmd {
	q.cmd = redis.NewStringSliceCmd(ctx, q.args...)
	q.cmd.SetFirstKeyPos(3)
	return q.cmd
}

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
