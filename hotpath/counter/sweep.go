package counter

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"
)

const (
	// sweepUsers are listed by one exchange at most, which keeps Redis busy for about
	// 0.2 µs each; larger sets are listed in pages.
	sweepUsers = 4096
	sweepPage  = 1000 // 0.6 µs each
)

// Held is what Redis holds of an item. Its parts may be of different moments.
type Held struct {
	Resident bool
	Count    string // as stored; a healthy one is a decimal number
	Size     int64  // its set's cardinality, -1 when the key is no set
	Votes    string // the sum of its votes as stored; "" when it has none
}

// Sweep calls see with the members of items' sets, those of the i-th item in one or
// several calls. It is cheap and needs no pin: what it tells is of no one moment, and
// of a set that changes meanwhile it may tell members twice or not at all.
func (l *Log) Sweep(ctx context.Context, shard int, items []string, see func(i int, members []string)) ([]Held, error) {
	held, err := l.held(ctx, shard, items)
	s := sweep{l: l, k: &l.keys[shard], items: items, see: see, pipe: l.rdb.Pipeline()}
	for i := 0; i < len(items) && err == nil; i++ {
		switch h := held[i]; {
		case !h.Resident || h.Size <= 0:
		case h.Size > sweepUsers:
			err = s.pages(ctx, i)
		default:
			err = s.list(ctx, i, int(h.Size))
		}
	}
	if err == nil {
		err = s.flush(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("list likers in shard %d: %w", shard, unavailable(err))
	}
	return held, nil
}

// held asks for counts, votes and sizes, in one exchange.
func (l *Log) held(ctx context.Context, shard int, items []string) ([]Held, error) {
	k, pipe := &l.keys[shard], l.rdb.Pipeline()
	counts, votes, sizes := pipe.HMGet(ctx, k.counts, items...), pipe.HMGet(ctx, k.votes, items...), make([]*redis.IntCmd, len(items))
	for i, item := range items {
		sizes[i] = pipe.SCard(ctx, k.likers+item)
	}
	if _, err := pipe.Exec(ctx); answered(err) != nil {
		return nil, err
	}
	if err := errors.Join(counts.Err(), votes.Err()); err != nil || len(counts.Val()) != len(items) || len(votes.Val()) != len(items) {
		return nil, errors.Join(errors.New("the counts can't be read"), err)
	}
	held := make([]Held, len(items))
	for i, count := range counts.Val() {
		h := &held[i]
		h.Count, h.Resident = count.(string)
		h.Votes, _ = votes.Val()[i].(string)
		if h.Size = sizes[i].Val(); sizes[i].Err() != nil {
			h.Size = -1
		}
	}
	return held, nil
}

// answered is an error that is no answer to one of the commands: those have their
// own.
func answered(err error) error {
	var reply redis.Error
	if errors.As(err, &reply) {
		return nil
	}
	return err
}

// sweep gathers commands of small sets, so that many go in one exchange.
type sweep struct {
	l     *Log
	k     *keys
	items []string
	see   func(i int, members []string)

	pipe    redis.Pipeliner
	waiting []listing
	users   int // that the waiting ones will list
}

type listing struct {
	i   int
	cmd *redis.StringSliceCmd
}

func (s *sweep) list(ctx context.Context, i, size int) error {
	if s.users+size > sweepUsers {
		if err := s.flush(ctx); err != nil {
			return err
		}
	}
	s.users += size
	s.waiting = append(s.waiting, listing{i, s.pipe.SMembers(ctx, s.k.likers+s.items[i])})
	return nil
}

func (s *sweep) flush(ctx context.Context) error {
	if len(s.waiting) == 0 {
		return nil
	}
	if _, err := s.pipe.Exec(ctx); answered(err) != nil {
		return err
	}
	for _, w := range s.waiting {
		s.see(w.i, w.cmd.Val()) // nothing, if it is no set any more
	}
	s.waiting, s.users = s.waiting[:0], 0
	return nil
}

func (s *sweep) pages(ctx context.Context, i int) error {
	for cursor, more := uint64(0), true; more; more = cursor != 0 {
		page := s.l.rdb.SScan(ctx, s.k.likers+s.items[i], cursor, "", sweepPage)
		var members []string
		var err error
		if members, cursor, err = page.Result(); answered(err) != nil {
			return err
		}
		s.see(i, members)
	}
	return nil
}
