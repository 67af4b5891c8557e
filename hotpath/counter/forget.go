package counter

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"plusone/hotpath/like"
)

// What one script call may do: bounds how long Redis is busy with it.
const (
	forgetMost  = 500   // users that it forgets
	removedMost = 2_000 // users that it marks as known not to like the item
)

// Shrink makes an item with more than most members partly resident, if it is not,
// and lets it forget users until at most keep are left; fewer go when the log names them or is too
// long. It reports by how many members the set is smaller.
func (l *Log) Shrink(ctx context.Context, shard int, item string, most, keep int64) (forgot int64, err error) {
	size, err := l.rdb.SCard(ctx, l.keys[shard].likers+item).Result()
	if err != nil {
		return 0, fmt.Errorf("shrink %s: %w", item, unavailable(err))
	}
	if size <= most {
		return 0, nil
	}
	for size > keep && err == nil {
		var left int64
		left, err = l.forget(ctx, shard, item, min(size-keep, forgetMost))
		if left >= size || left == 0 {
			break // nothing may go now, or somebody else is at it
		}
		forgot += size - left
		size = left
	}
	if errors.Is(err, errLong) {
		err = nil
	}
	return forgot, err
}

// forget drops up to n members and returns how many are left.
func (l *Log) forget(ctx context.Context, shard int, item string, n int64) (left int64, err error) {
	k := &l.keys[shard]
	said := map[string]bool{} // user → liked, as the log says last
	end, err := l.look(ctx, shard, func(ch like.Change) {
		if _, vote := ch.Vote(); ch.Item == item && !vote {
			said[ch.User] = ch.Liked
		}
	})
	if err != nil {
		return 0, err
	}
	// A few more than may go, since some may have to stay.
	members, err := l.rdb.SRandMemberN(ctx, k.likers+item, n+64).Result()
	if err != nil {
		return 0, fmt.Errorf("shrink %s: %w", item, unavailable(err))
	}
	var removed, drop []any
	for user, liked := range said {
		if !liked {
			removed = append(removed, user)
		}
	}
	for _, m := range members {
		user, _ := Told(m)
		if _, is := said[user]; !is && user != "" && len(drop) < int(n) {
			drop = append(drop, m)
		}
	}
	if len(removed) > removedMost {
		return 0, errLong
	}
	args := append([]any{item, end.String(), len(removed)}, append(removed, drop...)...)
	reply, err := forgetScript.run(ctx, l.rdb, []string{k.meta, k.counts, k.log, k.partly, k.likers + item, k.claims}, args...).Slice()
	if err != nil {
		return 0, fmt.Errorf("shrink %s: %w", item, unavailable(err))
	}
	if len(reply) == 2 && reply[0] == "done" {
		left, _ = reply[1].(int64)
	}
	return left, nil
}

// notLiked stands before the users who are known not to like a partly resident
// item; alone it is the member that makes an item one.
const notLiked = "%"

// Told takes a member of a partly resident item's set apart. The user is empty for
// the mark that makes it one.
func Told(member string) (user string, liked bool) {
	user, not := strings.CutPrefix(member, notLiked)
	return user, !not
}
