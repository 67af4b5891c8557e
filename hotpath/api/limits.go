package api

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"math"
	"net/netip"
	"sync"
	"time"
)

// Limit is how many requests somebody may make: Burst at once, and Rate more per
// second. Rate 0 is no limit.
type Limit struct {
	Rate  float64
	Burst int
}

// Shared is what the processes of the API know together.
type Shared interface {
	// Spend takes spent[i] out of the bucket names[i], which is never further than
	// depths[i] from full, and returns for each the time until it is full again.
	Spend(ctx context.Context, names []string, spent, depths []time.Duration) (levels []time.Duration, err error)
}

// LimitOptions say what is limited.
type LimitOptions struct {
	User, Address Limit
	Shared        Shared
	Secret        []byte // hides in Shared whose a bucket is
	Log           *slog.Logger
}

// Limits hold users and addresses to their rates. A request asks this process'
// own buckets only; Run compares those near their limit with the other processes,
// five times a second. So n processes let somebody have at most a quarter of the
// burst more each, and what is asked within 200 ms; while Shared does not answer
// each of them limits for itself.
type Limits struct {
	users, addresses *kindOfBucket // nil: no limit
	shared           Shared
	log              *slog.Logger
	start            time.Time
}

// kindOfBucket is the buckets of users, or of addresses.
type kindOfBucket struct {
	*buckets
	name   string // in headers and in the names of shared buckets
	policy string // the header RateLimit-Policy
	secret []byte

	mu   sync.Mutex
	near map[uint64]string // key → name of the shared bucket, at most nearMost
}

const (
	shareEvery = 200 * time.Millisecond
	// nearMost bounds what one round asks Shared for; what is beyond it is limited
	// by this process alone for the moment.
	nearMost = 1024
)

// NewLimits makes Limits, nil when nothing is limited.
func NewLimits(o LimitOptions) (*Limits, error) {
	l := &Limits{shared: o.Shared, log: o.Log, start: time.Now()}
	var err error
	if l.users, err = newKind("user", o.User, o.Secret); err != nil {
		return nil, err
	}
	if l.addresses, err = newKind("address", o.Address, o.Secret); err != nil {
		return nil, err
	}
	if l.users == nil && l.addresses == nil {
		return nil, nil
	}
	if o.Shared == nil || o.Log == nil || len(o.Secret) < MinSecret {
		return nil, errors.New("limits: the shared buckets, the secret or the log are missing")
	}
	return l, nil
}

func newKind(name string, l Limit, secret []byte) (*kindOfBucket, error) {
	switch {
	case l.Rate == 0:
		return nil, nil
	case math.IsNaN(l.Rate) || l.Rate < 0.001 || l.Rate > 1e6 || l.Burst < 1 || l.Burst > 1e6:
		return nil, fmt.Errorf("the rate of a %s must be from 0.001 to 1000000 a second, its burst from 1 to 1000000", name)
	}
	window := int(math.Ceil(float64(l.Burst) / l.Rate))
	return &kindOfBucket{
		buckets: newBuckets(l), name: name, secret: secret, near: map[uint64]string{},
		policy: fmt.Sprintf(`"%s";q=%d;w=%d`, name, l.Burst, window),
	}, nil
}

// now is the limits' clock. It begins late enough that 0 is long ago.
func (l *Limits) now() time.Duration { return time.Since(l.start) + time.Hour }

// user takes a request of a user.
func (l *Limits) user(user string) taking {
	key := maphash.String(l.users.seed, user)
	t := l.users.take(key, l.now())
	if t.near {
		l.users.share(key, []byte(user))
	}
	return t
}

// address takes a request of an address. All of an IPv6 network of 64 bits is
// one: that is what a customer gets.
func (l *Limits) address(a netip.Addr) taking {
	id := a.As16()
	if a.Is6() {
		clear(id[8:])
	}
	key := maphash.Bytes(l.addresses.seed, id[:])
	t := l.addresses.take(key, l.now())
	if t.near {
		l.addresses.share(key, bytes.Clone(id[:])) // so that id need not escape
	}
	return t
}

// share lets the next round compare a bucket.
func (k *kindOfBucket) share(key uint64, id []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.near) < nearMost {
		h := hmac.New(sha256.New, k.secret)
		h.Write([]byte("plusone rate 1 " + k.name + " "))
		h.Write(id)
		k.near[key] = base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:macSize])
		return
	}
	k.forget(key)
}

// Run compares buckets with the other processes until ctx ends.
func (l *Limits) Run(ctx context.Context) error {
	tick := time.NewTicker(shareEvery)
	defer tick.Stop()
	away := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		err := errors.Join(l.compare(ctx, l.users), l.compare(ctx, l.addresses))
		if err != nil && !away && ctx.Err() == nil {
			l.log.WarnContext(ctx, "rate limits are this process' own for now", "error", err)
		}
		away = err != nil
	}
}

// compare makes one round for one kind.
func (l *Limits) compare(ctx context.Context, k *kindOfBucket) error {
	if k == nil {
		return nil
	}
	keys, names, spent, depths := k.gather(l.now())
	if len(keys) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, shareEvery)
	defer cancel()
	levels, err := l.shared.Spend(ctx, names, spent, depths)
	if err == nil && len(levels) != len(keys) {
		err = fmt.Errorf("spend from %d buckets: got %d levels", len(keys), len(levels))
	}
	if err != nil {
		for i, key := range keys {
			k.untell(key, spent[i])
		}
		return err
	}
	k.settle(keys, levels, l.now())
	return nil
}

// gather lists the buckets near their limit and what was taken from each.
func (k *kindOfBucket) gather(now time.Duration) (keys []uint64, names []string, spent, depths []time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for key, name := range k.near {
		d, ok := k.tell(key, now)
		if !ok {
			delete(k.near, key)
			continue
		}
		keys, names, spent, depths = append(keys, key), append(names, name), append(spent, d), append(depths, k.depth)
	}
	return keys, names, spent, depths
}

// settle takes over what all processes together have taken.
func (k *kindOfBucket) settle(keys []uint64, levels []time.Duration, now time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, key := range keys {
		if !k.learn(key, levels[i], now) {
			delete(k.near, key)
		}
	}
}
