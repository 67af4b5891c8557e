package counter

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"plusone/hotpath/like"
)

// Traces cross the log beside it: an entry knows nothing of the requests that it came
// from, of which there may be hundreds. Only who has sampled a request leaves a note
// here, after the script has answered, and a drain leaves one for those who are told.
//
//	p1:{shard}:traces         sorted set, by ms: "version traceparent item", of requests
//	p1:{shard}:trace:<item>   "ms traceparent", of the last drain that moved such a change
//
// Notes expire, are bounded, and may be missing: a drain that is quicker than the note
// does without. Nothing but traces depends on them.

// Traced is a change whose request is traced.
type Traced struct {
	Version like.Version
	Item    string
	Parent  string // the request's, as a traceparent
}

const (
	traceTime  = 10 * time.Minute // that a note is kept
	tracesMost = 1000             // notes of requests in a shard
	tracesPage = 128              // that one drain looks at
)

// KeepTraces notes the changes that a request has made.
func (l *Log) KeepTraces(ctx context.Context, parent string, receipts []like.Receipt, items []string) error {
	_, err := l.rdb.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i, r := range receipts {
			key := l.keys[r.Shard].traces
			pipe.ZAdd(ctx, key, redis.Z{
				Score:  float64(r.Version.Time().UnixMilli()),
				Member: strconv.FormatInt(int64(r.Version), 10) + " " + parent + " " + items[i],
			})
			pipe.ZRemRangeByRank(ctx, key, 0, -tracesMost-1)
			pipe.Expire(ctx, key, traceTime)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("note a trace: %w", unavailable(err))
	}
	return nil
}

// TracesIn are the traced changes of a shard above after, up to and including upTo.
func (l *Log) TracesIn(ctx context.Context, shard int, after, upTo like.Version) ([]Traced, error) {
	notes, err := l.rdb.ZRangeByScore(ctx, l.keys[shard].traces, &redis.ZRangeBy{
		Min: strconv.FormatInt(after.Time().UnixMilli(), 10), Max: strconv.FormatInt(upTo.Time().UnixMilli(), 10), Count: tracesPage,
	}).Result()
	if err != nil {
		return nil, fmt.Errorf("look for traces: %w", unavailable(err))
	}
	var found []Traced
	for _, note := range notes {
		version, rest, _ := strings.Cut(note, " ")
		parent, item, _ := strings.Cut(rest, " ")
		if v, err := strconv.ParseInt(version, 10, 64); err == nil && like.Version(v) > after && like.Version(v) <= upTo {
			found = append(found, Traced{like.Version(v), item, parent})
		}
	}
	return found, nil
}

// KeepDrained notes that a drain moves traced changes of items. It is called before
// the drain commits, so that whoever sees what it wrote finds the note.
func (l *Log) KeepDrained(ctx context.Context, parent string, items []string) error {
	note := strconv.FormatInt(time.Now().UnixMilli(), 10) + " " + parent
	_, err := l.rdb.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for _, item := range items {
			pipe.Set(ctx, l.traceKey(item), note, traceTime)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("note a drain's trace: %w", unavailable(err))
	}
	return nil
}

// Drained is what KeepDrained has noted last for an item.
type Drained struct {
	Parent string // "": nothing
	At     time.Time
}

// DrainedBy looks items up, in their order.
func (l *Log) DrainedBy(ctx context.Context, items []string) ([]Drained, error) {
	asked := make([]*redis.StringCmd, len(items))
	_, err := l.rdb.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i, item := range items {
			asked[i] = pipe.Get(ctx, l.traceKey(item))
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("look for drains' traces: %w", unavailable(err))
	}
	found := make([]Drained, len(items))
	for i, a := range asked {
		at, parent, _ := strings.Cut(a.Val(), " ")
		if ms, err := strconv.ParseInt(at, 10, 64); err == nil {
			found[i] = Drained{parent, time.UnixMilli(ms)}
		}
	}
	return found, nil
}

func (l *Log) traceKey(item string) string {
	return l.keys[ShardOf(item, len(l.keys))].trace + item
}
