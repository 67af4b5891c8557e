package counter

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// evictMost is how many items one script call drops: bounds how long Redis is
// busy with it.
const evictMost = 64

// Memory is what Redis uses and may use, in bytes. Max is 0 when it has no limit.
type Memory struct{ Used, Max int64 }

// Memory asks Redis for its memory. Servers that do not tell (miniredis) use 0.
func (l *Log) Memory(ctx context.Context) (Memory, error) {
	info, err := l.rdb.Info(ctx, "memory").Result()
	var reply redis.Error
	if errors.As(err, &reply) && strings.Contains(err.Error(), "is not supported") {
		return Memory{}, nil
	}
	if err != nil {
		return Memory{}, fmt.Errorf("ask redis for its memory: %w", unavailable(err))
	}
	return Memory{Used: field(info, "used_memory"), Max: field(info, "maxmemory")}, nil
}

// field reads a number out of INFO; 0 when it is not there.
func field(info, name string) int64 {
	_, rest, _ := strings.Cut("\n"+info, "\n"+name+":")
	value, _, _ := strings.Cut(rest, "\r")
	n, _ := strconv.ParseInt(value, 10, 64)
	return n
}

// Idle tells for how long nobody has touched the items' sets. Items without
// likers have no set and count as idle for ever: they cost nothing to load.
func (l *Log) Idle(ctx context.Context, shard int, items []string) ([]time.Duration, error) {
	pipe := l.rdb.Pipeline()
	asked := make([]*redis.DurationCmd, len(items))
	for i, item := range items {
		asked[i] = pipe.ObjectIdleTime(ctx, l.keys[shard].likers+item)
	}
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("ask for idle items of shard %d: %w", shard, unavailable(err))
	}
	idle := make([]time.Duration, len(items))
	for i, a := range asked {
		if idle[i] = a.Val(); a.Err() != nil {
			idle[i] = forever
		}
	}
	return idle, nil
}

const forever = time.Duration(1<<63 - 1)

// Evict makes items cold that the log does not name; it returns how many.
func (l *Log) Evict(ctx context.Context, shard int, items []string) (dropped int, err error) {
	k := &l.keys[shard]
	for len(items) > 0 {
		n := min(len(items), evictMost)
		names, args := []string{k.counts, k.log}, make([]any, n)
		for i, item := range items[:n] {
			names = append(names, k.likers+item)
			args[i] = item
		}
		here, err := evictScript.run(ctx, l.rdb, names, args...).Int()
		if err != nil {
			return dropped, fmt.Errorf("evict items of shard %d: %w", shard, unavailable(err))
		}
		dropped += here
		items = items[n:]
	}
	return dropped, nil
}
