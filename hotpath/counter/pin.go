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

// Pin holds a shard's log back from being trimmed, and with it the proof of what
// live traffic has changed since At. While it lives a reconciler may look at the
// items that it is for and mend them. It is not safe for concurrent use.
//
// Keep reads what has come since and remembers what of it concerns the items;
// then the log may be trimmed up to there, so a pin that is kept never holds back
// more than the traffic between two calls.
type Pin struct {
	// At is the last version before the pin.
	At like.Version

	l     *Log
	shard int
	k     *keys
	items map[string]struct{} // that it is for
	token string
	held  like.Version      // entries after it are still in the log
	read  like.Version      // entries up to it have been read
	named map[Pair]struct{} // by entries in (At, read]; without a user: the item is
}

// text is what the pin's key holds.
func (p *Pin) text() string { return p.held.String() + " " + p.token }

// Pin pins a shard's log for the sake of items. Errors: ErrClosed,
// like.ErrUnavailable (also while writes go elsewhere).
func (l *Log) Pin(ctx context.Context, shard int, items []string) (*Pin, error) {
	if err := l.fence.Err(ctx); err != nil {
		return nil, fmt.Errorf("pin the log of shard %d: %w", shard, err)
	}
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
	p := &Pin{
		At: at, l: l, shard: shard, k: k, token: token, held: at, read: at,
		items: make(map[string]struct{}, len(items)), named: map[Pair]struct{}{},
	}
	for _, item := range items {
		p.items[item] = struct{}{}
	}
	return p, nil
}

// Pending reports whether entries in (watermark, At] wait for a drain.
func (p *Pin) Pending(ctx context.Context, watermark like.Version) (bool, error) {
	if watermark >= p.At {
		return false, nil
	}
	first, err := p.l.Read(ctx, p.shard, watermark, 1)
	return len(first) > 0 && first[0].Version <= p.At, err
}

// Keep reads the log on, moves the pin there, and gives it a whole PinTime again.
// Errors: ErrUnpinned.
func (p *Pin) Keep(ctx context.Context) error {
	if err := p.readOn(ctx); err != nil {
		return err
	}
	before := p.text()
	moved := *p
	moved.held = p.read
	kept, err := keepScript.run(ctx, p.l.rdb, []string{p.k.pin}, before, moved.text(), PinTime.Milliseconds()).Int()
	switch {
	case err != nil:
		return fmt.Errorf("keep the pin of shard %d: %w", p.shard, unavailable(err))
	case kept == 0:
		return fmt.Errorf("shard %d: %w", p.shard, ErrUnpinned)
	}
	p.held = moved.held
	return nil
}

// Release lets the log be trimmed again. A pin that nobody releases ends by
// itself; one that somebody else holds by now is left alone.
func (p *Pin) Release(ctx context.Context) error {
	text, err := p.l.rdb.Get(ctx, p.k.pin).Result()
	if errors.Is(err, redis.Nil) || err == nil && text != p.text() {
		return nil
	}
	if err == nil {
		err = p.l.rdb.Del(ctx, p.k.pin).Err()
	}
	return err
}

// Named reports for each pair of the pin's items whether an entry after the pin names it; a pair
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
				if _, mine := p.items[ch.Item]; mine {
					p.named[Pair{ch.Item, ch.User}] = struct{}{}
					p.named[Pair{Item: ch.Item}] = struct{}{}
				}
			}
			p.read = e.Version
		}
		if len(entries) < 500 {
			return nil
		}
	}
}

// What Settle remembers as recently changed, for the reconciler to look at first:
// so many items of a shard, a last call's aside, for so long.
const (
	recentMost = 10_000
	recentTime = time.Hour
)

// Recent takes up to n items out of those that Settle remembered.
func (l *Log) Recent(ctx context.Context, shard, n int) ([]string, error) {
	items, err := l.rdb.SPopN(ctx, l.keys[shard].recent, int64(n)).Result()
	if err != nil {
		return nil, fmt.Errorf("take recent items of shard %d: %w", shard, unavailable(err))
	}
	return items, nil
}
