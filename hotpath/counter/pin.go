package counter

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"plusone/hotpath/like"
)

var (
	// ErrClosed: the shard is not open, so there is nothing to look at.
	ErrClosed = errors.New("the shard is closed")
	// ErrUnpinned: the pin is gone, so that log entries may be missing.
	ErrUnpinned = errors.New("the log is no longer pinned")
)

// PinTime is how long a pin lives without Keep.
const PinTime = 30 * time.Second

// Pair is a user and an item.
type Pair struct{ Item, User string }

// Pin holds a shard's log back from being trimmed beyond At, and with it the
// proof of what live traffic has changed since. While it lives a reconciler may
// look at items and mend them. It is not safe for concurrent use.
type Pin struct {
	// At is the last version before the pin.
	At like.Version

	l     *Log
	shard int
	k     *keys
	text  string // what the pin's key holds
	read  like.Version
	named map[Pair]struct{} // by entries in (At, read]; without a user: the item is
}

// Pin pins a shard's log. Errors: ErrClosed, like.ErrUnavailable.
func (l *Log) Pin(ctx context.Context, shard int) (*Pin, error) {
	k, token := &l.keys[shard], rand.Text()
	last, err := pinScript.run(ctx, l.rdb, []string{k.meta, k.log, k.pin},
		len(l.keys), token, PinTime.Milliseconds()).Text()
	if err != nil {
		return nil, fmt.Errorf("pin the log of shard %d: %w", shard, unavailable(err))
	}
	if last == "closed" {
		return nil, fmt.Errorf("pin the log of shard %d: %w", shard, ErrClosed)
	}
	at, err := like.ParseVersion(last)
	if err != nil {
		return nil, fmt.Errorf("pin the log of shard %d: %w", shard, err)
	}
	return &Pin{At: at, l: l, shard: shard, k: k, text: last + " " + token, read: at, named: map[Pair]struct{}{}}, nil
}

// Pending reports whether entries in (watermark, At] wait for a drain.
func (p *Pin) Pending(ctx context.Context, watermark like.Version) (bool, error) {
	if watermark >= p.At {
		return false, nil
	}
	first, err := p.l.Read(ctx, p.shard, watermark, 1)
	return len(first) > 0 && first[0].Version <= p.At, err
}

// Keep gives the pin a whole PinTime again. Errors: ErrUnpinned.
func (p *Pin) Keep(ctx context.Context) error {
	if held, err := p.held(ctx); err != nil || !held {
		return errors.Join(err, fmt.Errorf("shard %d: %w", p.shard, ErrUnpinned))
	}
	return p.l.rdb.PExpire(ctx, p.k.pin, PinTime).Err()
}

func (p *Pin) held(ctx context.Context) (bool, error) {
	text, err := p.l.rdb.Get(ctx, p.k.pin).Result()
	if errors.Is(err, redis.Nil) {
		return false, nil
	}
	return text == p.text, err
}

// Release lets the log be trimmed again. A pin that nobody releases ends by
// itself; one that somebody else holds by now is left alone.
func (p *Pin) Release(ctx context.Context) error {
	if held, err := p.held(ctx); err != nil || !held {
		return err
	}
	return p.l.rdb.Del(ctx, p.k.pin).Err()
}

// Named reports for each pair whether an entry after the pin names it; a pair
// without a user asks for any of the item. It reads the log up to its present
// end first.
func (p *Pin) Named(ctx context.Context, pairs []Pair) ([]bool, error) {
	if err := p.readOn(ctx); err != nil {
		return nil, err
	}
	named := make([]bool, len(pairs))
	for i, pair := range pairs {
		_, named[i] = p.named[pair]
	}
	return named, nil
}

func (p *Pin) readOn(ctx context.Context) error {
	for {
		entries, err := p.l.Read(ctx, p.shard, p.read, 500)
		if err != nil {
			return err
		}
		for _, e := range entries {
			for _, ch := range e.Changes {
				p.named[Pair{ch.Item, ch.User}] = struct{}{}
				p.named[Pair{Item: ch.Item}] = struct{}{}
			}
			p.read = e.Version
		}
		if len(entries) < 500 {
			return nil
		}
	}
}

// recentMost bounds the items that a shard remembers as recently changed.
const recentMost = 10_000

// Note remembers items as recently changed, for the reconciler to look at
// first. It is a hint: beyond a bound, or on an error, items are left out.
func (l *Log) Note(ctx context.Context, shard int, items []string) error {
	if len(items) == 0 {
		return nil
	}
	k := l.keys[shard].recent
	known, err := l.rdb.SCard(ctx, k).Result()
	if err != nil || known >= recentMost {
		return err
	}
	members := make([]any, len(items))
	for i, item := range items {
		members[i] = item
	}
	pipe := l.rdb.Pipeline()
	pipe.SAdd(ctx, k, members...)
	pipe.Expire(ctx, k, time.Hour)
	_, err = pipe.Exec(ctx)
	return err
}

// Recent takes up to n items out of those that Note remembered.
func (l *Log) Recent(ctx context.Context, shard, n int) ([]string, error) {
	items, err := l.rdb.SPopN(ctx, l.keys[shard].recent, int64(n)).Result()
	if err != nil {
		return nil, fmt.Errorf("take recent items of shard %d: %w", shard, unavailable(err))
	}
	return items, nil
}
