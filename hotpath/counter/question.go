package counter

import (
	"cmp"
	"context"
	"slices"

	"github.com/redis/go-redis/v9"
)

// maxAsked is how many users a question asks about an item: a byte tells it.
const maxAsked = 255

// question is one call of read.lua: looks of one shard, those on one item side by
// side. Its memory is used again by whose turn it is at reads.
type question struct {
	invocation

	shard int
	names *keys
	about []about
	looks []*look // of all items

	room []byte // for spelling one argument
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
		q.about, q.looks = q.about[:0], nil
		q.forget()
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
	args := append(q.invoke(&readScript), 3+len(q.about), &q.names.meta, &q.names.counts, &q.names.partly)
	for i := range q.about {
		args = append(args, &q.about[i])
	}
	args = append(args, &opt.Shards, (*aboutSizes)(q))
	for _, l := range q.looks {
		if l.user != "" {
			args = append(args, &l.user)
		}
	}
	return q.spell(ctx, args)
}
