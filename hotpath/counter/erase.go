package counter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"plusone/hotpath/like"
)

// Traces is what Redis holds of a user beside the logs.
type Traces struct {
	Liked   []string // items whose set has the user: an unlike takes him out
	Known   []string // items whose set has him otherwise: Scrub does
	Loading []string // keys of sets that are being loaded, or were when their process died
	Marks   []Mark   // of changes of his likes that nobody has recorded yet
	Quota   bool     // what the user has used of a quota is known
}

// Len is the number of sets and marks, and one for the quota.
func (t Traces) Len() int {
	n := len(t.Liked) + len(t.Known) + len(t.Loading) + len(t.Marks)
	if t.Quota {
		n++
	}
	return n
}

// Traces looks for a user in every set, in the marks, and in the quotas. It goes through all keys,
// in small steps.
func (l *Log) Traces(ctx context.Context, user string) (t Traces, err error) {
	var mu sync.Mutex // the nodes of a cluster are looked at side by side
	err = l.eachNode(ctx, func(ctx context.Context, node redis.Cmdable) error {
		var cursor uint64
		for {
			names, next, err := node.Scan(ctx, cursor, "p1:{*}:l*", 1000).Result()
			if err != nil {
				return err
			}
			has, err := membership(ctx, node, names, user)
			if err != nil {
				return err
			}
			mu.Lock()
			t.add(names, has)
			mu.Unlock()
			if cursor = next; cursor == 0 {
				return nil
			}
		}
	})
	if err != nil {
		return t, fmt.Errorf("look for a user's sets: %w", unavailable(err))
	}
	if t.Marks, err = l.Marks(ctx); err != nil {
		return t, err
	}
	t.Marks = slices.DeleteFunc(t.Marks, func(m Mark) bool { return m.User != user })
	if t.Quota, err = l.rdb.HExists(ctx, l.keys[ShardOf(user, len(l.keys))].quota, user).Result(); err != nil {
		return t, fmt.Errorf("look for a user's quota: %w", unavailable(err))
	}
	return t, nil
}

func (l *Log) eachNode(ctx context.Context, do func(context.Context, redis.Cmdable) error) error {
	if cluster, ok := l.rdb.(*redis.ClusterClient); ok {
		return cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error { return do(ctx, node) })
	}
	return do(ctx, l.rdb)
}

// membership asks sets for a user and for what says that he is known not to like.
// Keys that are no sets have neither.
func membership(ctx context.Context, node redis.Cmdable, names []string, user string) ([][2]bool, error) {
	pipe := node.Pipeline()
	cmds := make([]*redis.BoolSliceCmd, len(names))
	for i, name := range names {
		cmds[i] = pipe.SMIsMember(ctx, name, user, notLiked+user)
	}
	var reply redis.Error
	if _, err := pipe.Exec(ctx); err != nil && !errors.As(err, &reply) {
		return nil, err
	}
	has := make([][2]bool, len(names))
	for i, cmd := range cmds {
		if is := cmd.Val(); len(is) == 2 {
			has[i] = [2]bool{is[0], is[1]}
		}
	}
	return has, nil
}

// add sorts sets by what they have.
func (t *Traces) add(names []string, has [][2]bool) {
	for i, name := range names {
		_, rest, _ := strings.Cut(name, "}:")
		item, isLikers := strings.CutPrefix(rest, "likers:")
		switch {
		case !has[i][0] && !has[i][1]:
		case !isLikers:
			t.Loading = append(t.Loading, name)
		case has[i][0]:
			t.Liked = append(t.Liked, item)
		default:
			t.Known = append(t.Known, item)
		}
	}
}

// Scrub takes a user out of the quotas and marks, and out of the sets that no unlike
// takes him out of, unless the log names the pair, and returns out of how many sets. A
// set that is being loaded is incomplete then, and loaded once more.
func (l *Log) Scrub(ctx context.Context, user string, t Traces) (dropped int, err error) {
	if err := l.rdb.HDel(ctx, l.keys[ShardOf(user, len(l.keys))].quota, user).Err(); err != nil {
		return 0, fmt.Errorf("drop a user's quota: %w", unavailable(err))
	}
	if err := l.Unmark(ctx, t.Marks); err != nil {
		return 0, err
	}
	byShard := map[int][]string{}
	for _, item := range append(t.Known, t.Liked...) {
		shard := ShardOf(item, len(l.keys))
		byShard[shard] = append(byShard[shard], item)
	}
	for shard, items := range byShard {
		n, err := l.scrub(ctx, shard, user, items)
		if dropped += n; err != nil {
			return dropped, fmt.Errorf("scrub sets of shard %d: %w", shard, unavailable(err))
		}
	}
	for _, name := range t.Loading {
		n, err := l.rdb.SRem(ctx, name, user).Result()
		if dropped += int(n); err != nil {
			return dropped, fmt.Errorf("scrub a set that is being loaded: %w", unavailable(err))
		}
	}
	return dropped, nil
}

func (l *Log) scrub(ctx context.Context, shard int, user string, items []string) (dropped int, err error) {
	named := map[string]bool{}
	end, err := l.look(ctx, shard, func(ch like.Change) {
		if ch.User == user {
			named[ch.Item] = true
		}
	})
	k := &l.keys[shard]
	for len(items) > 0 && err == nil {
		names, args := []string{k.meta, k.counts, k.log}, []any{user, end.String()}
		for len(items) > 0 && len(args) <= evictMost {
			if item := items[0]; !named[item] {
				names, args = append(names, k.likers+item), append(args, item)
			}
			items = items[1:]
		}
		var here int
		here, err = eraseScript.run(ctx, l.rdb, names, args...).Int()
		dropped += here
	}
	return dropped, err
}

// Mentions counts the entries of a shard's log up to and including upTo that name
// a user.
func (l *Log) Mentions(ctx context.Context, shard int, user string, upTo like.Version) (n int, err error) {
	for seen := like.Version(0); seen < upTo; {
		entries, err := l.Read(ctx, shard, seen, 500)
		if err != nil || len(entries) == 0 {
			return n, err
		}
		for _, e := range entries {
			if seen = e.Version; seen <= upTo && e.names(user) {
				n++
			}
		}
	}
	return n, nil
}

func (e Entry) names(user string) bool {
	for _, ch := range e.Changes {
		if ch.User == user {
			return true
		}
	}
	return false
}
