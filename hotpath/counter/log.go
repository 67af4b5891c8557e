package counter

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"plusone/hotpath/like"
)

// Log is the shards' logs in Redis: every change, in order, until the ledger
// has it. Only the like script appends to it (and a repair that hands a change
// to the ledger again). It is safe for concurrent use.
type Log struct {
	rdb   redis.UniversalClient
	keys  []keys
	fence *Fence // nil: nobody writes elsewhere
}

// NewLog reads the logs through rdb, which it does not own.
func NewLog(rdb redis.UniversalClient, shards int) *Log {
	return &Log{rdb: rdb, keys: keysOfAll(shards)}
}

// Behind returns the same logs, whose items are looked at and mended only while f
// lets this process change Redis. Reading and trimming logs, and making items cold,
// does no harm at any time.
func (l *Log) Behind(f *Fence) *Log { return &Log{rdb: l.rdb, keys: l.keys, fence: f} }

// Shards is the number of logs.
func (l *Log) Shards() int { return len(l.keys) }

// Entry is one entry of a log. Bad says why Changes may lack some of its
// changes. An entry without changes is a marker that raised the log's last id.
type Entry struct {
	Version like.Version
	Changes []like.Change
	Bad     error
}

func (e Entry) marker() bool { return len(e.Changes) == 0 && e.Bad == nil }

// Read returns up to n entries above after, oldest first.
func (l *Log) Read(ctx context.Context, shard int, after like.Version, n int) ([]Entry, error) {
	found, err := l.rdb.XRangeN(ctx, l.keys[shard].log, "("+after.String(), "+", int64(n)).Result()
	if err != nil {
		return nil, fmt.Errorf("read the log of shard %d: %w", shard, unavailable(err))
	}
	entries := make([]Entry, len(found))
	for i, m := range found {
		entries[i] = parseEntry(m)
	}
	return entries, nil
}

// Tail is how long a log is and where it begins and ends. Last is the last id
// that was ever given, also when nothing is left; Oldest is zero then, and when
// the first entry is a marker: its id tells nothing of when it was made.
type Tail struct {
	Len          int64
	Oldest, Last like.Version
}

// Tail looks at one shard's log.
func (l *Log) Tail(ctx context.Context, shard int) (Tail, error) {
	return tailOf(shard, l.rdb.XInfoStream(ctx, l.keys[shard].log))
}

// Tails looks at the logs of all shards, in one exchange.
func (l *Log) Tails(ctx context.Context) ([]Tail, error) {
	asked := make([]*redis.XInfoStreamCmd, len(l.keys))
	_, _ = l.rdb.Pipelined(ctx, func(pipe redis.Pipeliner) error { // each answer has its own error
		for shard := range l.keys {
			asked[shard] = pipe.XInfoStream(ctx, l.keys[shard].log)
		}
		return nil
	})
	tails := make([]Tail, len(l.keys))
	for shard, a := range asked {
		var err error
		if tails[shard], err = tailOf(shard, a); err != nil {
			return nil, err
		}
	}
	return tails, nil
}

func tailOf(shard int, asked *redis.XInfoStreamCmd) (Tail, error) {
	info, err := asked.Result()
	if err != nil && strings.Contains(err.Error(), "no such key") {
		return Tail{}, nil
	}
	if err != nil {
		return Tail{}, fmt.Errorf("look at the log of shard %d: %w", shard, unavailable(err))
	}
	t := Tail{Len: info.Length}
	if t.Last, err = like.ParseVersion(info.LastGeneratedID); err == nil && info.FirstEntry.ID != "" {
		if first := parseEntry(info.FirstEntry); !first.marker() {
			t.Oldest = first.Version
		}
	}
	return t, err
}

// Waits returns the version of the first change above after, zero when there is
// none.
func (l *Log) Waits(ctx context.Context, shard int, after like.Version) (like.Version, error) {
	for page := 2; ; page = 500 { // seldom do markers follow each other
		next, err := l.Read(ctx, shard, after, page)
		for _, e := range next {
			if !e.marker() {
				return e.Version, nil
			}
			after = e.Version
		}
		if err != nil || len(next) < page {
			return 0, err
		}
	}
}

// Trim drops the entries up to and including upTo, except those that a pin
// keeps.
func (l *Log) Trim(ctx context.Context, shard int, upTo like.Version) error {
	_, err := l.Settle(ctx, shard, upTo, nil)
	return err
}

// settleItems is how many items a call of Settle remembers at most: fewer than
// Lua can pass on at once.
const settleItems = 5000

// Settle is Trim, and remembers items as recently changed: a hint, beyond some
// bounds or without memory items are left out. It reports whether the log has
// entries above upTo.
func (l *Log) Settle(ctx context.Context, shard int, upTo like.Version, items []string) (bool, error) {
	k := &l.keys[shard]
	items = items[:min(len(items), settleItems)]
	args := make([]any, 0, 3+len(items))
	args = append(args, upTo.Next().String(), recentMost, int(recentTime.Seconds()))
	for _, item := range items {
		args = append(args, item)
	}
	last, err := trimScript.run(ctx, l.rdb, []string{k.log, k.pin, k.recent}, args...).Text()
	if err != nil {
		return false, fmt.Errorf("trim the log of shard %d: %w", shard, unavailable(err))
	}
	if last == "" {
		return false, nil
	}
	end, err := like.ParseVersion(last)
	return end > upTo || err != nil, nil // only a foreign hand gives an id that is none
}

// Mark appends a marker to a log that is empty and ends at end, for a ledger whose
// watermark is below that: it lacks what the log has dropped, since it was restored
// from a backup. It reports false when the log is not so any more, or its shard closed.
// Errors: like.ErrUnavailable (also while writes go elsewhere).
func (l *Log) Mark(ctx context.Context, shard int, end like.Version) (bool, error) {
	if err := l.fence.Err(ctx); err != nil {
		return false, fmt.Errorf("mark the log of shard %d: %w", shard, err)
	}
	marker, err := l.mark(ctx, shard, end.String())
	return marker > 0, err
}

// mark is one call of mark.lua.
func (l *Log) mark(ctx context.Context, shard int, end string) (marker like.Version, err error) {
	k := &l.keys[shard]
	id, err := markScript.run(ctx, l.rdb, []string{k.meta, k.log}, len(l.keys), end).Text()
	switch {
	case err != nil:
		err = unavailable(err)
	case id != "":
		marker, err = like.ParseVersion(id)
	}
	if err != nil {
		err = fmt.Errorf("mark the log of shard %d: %w", shard, err)
	}
	return marker, err
}

// Undo takes a change back that the ledger refused. It reports false when a newer
// entry names the pair, and true when Redis does not show the change any more.
// Repeating it is harmless.
func (l *Log) Undo(ctx context.Context, shard int, ch like.Change) (bool, error) {
	if ref, vote := ch.Vote(); vote {
		return l.undoVote(ctx, shard, ref, ch)
	}
	k := &l.keys[shard]
	liked := 0
	if ch.Liked {
		liked = 1
	}
	from := ch.Version.Next()
	for {
		state, err := undoScript.run(ctx, l.rdb, []string{k.counts, k.log, k.likers + ch.Item},
			ch.Item, ch.User, liked, from.String()).Text()
		if err != nil {
			return false, fmt.Errorf("undo a change in shard %d: %w", shard, unavailable(err))
		}
		if state != "many" {
			return state == "undone", nil
		}
		named, end, err := l.names(ctx, shard, from, ch.Item, ch.User)
		if err != nil || named {
			return false, err
		}
		from = end
	}
}

// names looks through the log from a version on for a pair, in pages, and tells
// where it stopped: the smallest version that it has not looked at.
func (l *Log) names(ctx context.Context, shard int, from like.Version, item, user string) (bool, like.Version, error) {
	for {
		entries, err := l.Read(ctx, shard, from-1, 500)
		if err != nil || len(entries) == 0 {
			return false, from, err
		}
		for _, e := range entries {
			for _, ch := range e.Changes {
				if ch.Item == item && ch.User == user {
					return true, 0, nil
				}
			}
			from = e.Version.Next()
		}
	}
}

// unavailable marks an error that is not an answer from Redis.
func unavailable(err error) error {
	var reply redis.Error
	if errors.As(err, &reply) {
		return err
	}
	return fmt.Errorf("%w: redis: %w", like.ErrUnavailable, err)
}
