package house

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"plusone/hotpath/counter"
)

// Quota is how many likes a user may make as long as the house stands: more than
// clients like at a time, which get back what they unlike, and less than users of
// whom participants must agree may ever like.
const Quota = 80

// UsersOf names users of a shard.
func UsersOf(shard int) func(n int) string {
	return func(n int) string {
		for i := 0; ; i++ {
			if user := fmt.Sprintf("greedy-%d-%d", n, i); counter.ShardOf(user, Shards) == shard {
				return user
			}
		}
	}
}

// Reserved is how many reservations of the quota nobody has ended.
func (h *House) Reserved(ctx context.Context) (n int64, err error) {
	for shard := range Shards {
		some, err := h.Rdb.XLen(ctx, "p1:{"+strconv.Itoa(shard)+"}:reserved").Result()
		if err != nil {
			return 0, err
		}
		n += some
	}
	return n, nil
}

// Used reads how much of the quota each user has used.
func (h *House) Used(ctx context.Context) (map[string]int, error) {
	used := map[string]int{}
	for shard := range Shards {
		units, err := h.Rdb.HGetAll(ctx, "p1:{"+strconv.Itoa(shard)+"}:quota").Result()
		if err != nil {
			return nil, err
		}
		for user, text := range units {
			if strings.HasPrefix(user, "%") {
				continue
			}
			if used[user], err = strconv.Atoi(text); err != nil {
				return nil, fmt.Errorf("the quota of %s: %w", user, err)
			}
		}
	}
	return used, nil
}
