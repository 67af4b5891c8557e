package counter

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"plusone/hotpath/like"
	"plusone/scripts/dev/private/privatetest"
)

func TestMain(m *testing.M) { privatetest.Main(m, privatetest.NoLeaks) }

// book is a ledger in memory: what a Source tells, with faults that a test sets.
type book struct {
	mu        sync.Mutex
	likers    map[string]map[string]bool
	votes     map[Pair]like.VoteState
	watermark map[int]like.Version
	floor     map[int]like.Version
	frozen    []like.Freeze // the last change of each item, in their order
	err       error         // every call fails with it
	freezes   int64
	queries   int
	answered  func() // runs between the look at the book and the answer
}

func newBook() *book {
	return &book{likers: map[string]map[string]bool{}, votes: map[Pair]like.VoteState{}, watermark: map[int]like.Version{}, floor: map[int]like.Version{}}
}

func (b *book) enter() (func(), error) {
	b.mu.Lock()
	b.queries++
	return b.mu.Unlock, b.err
}

// asked is how often the book was asked anything.
func (b *book) asked() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.queries
}

func (b *book) size(item string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.likers[item])
}

// answer sets what runs between a look at the counts and the answer.
func (b *book) answer(between func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answered = between
}

func (b *book) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err = err
}

func (b *book) Settled(_ context.Context, _, shard int) (like.Bounds, error) {
	leave, err := b.enter()
	defer leave()
	mark := b.watermark[shard]
	return like.Bounds{Watermark: mark, End: mark, Floor: max(b.floor[shard], mark)}, err
}

func (b *book) Counts(_ context.Context, items, users []string) ([]like.Reading, error) {
	leave, err := b.enter()
	defer leave()
	out := make([]like.Reading, len(items))
	for i, item := range items {
		out[i] = like.Reading{
			Item: item, Count: int64(len(b.likers[item])) + b.sum(item),
			Liked:  users != nil && b.likers[item][users[i]],
			Source: like.FromLedger, AsOf: time.Now(),
		}
	}
	b.pause()
	return out, err
}

// pause runs what a test has set between a look and its answer.
func (b *book) pause() {
	if wait := b.answered; wait != nil {
		b.mu.Unlock()
		wait()
		b.mu.Lock()
	}
}

func (b *book) Sizes(_ context.Context, items []string) ([]like.Size, error) {
	leave, err := b.enter()
	defer leave()
	out := make([]like.Size, len(items))
	for i, item := range items {
		out[i] = like.Size{Likes: int64(len(b.likers[item])), Votes: b.sum(item)}
		for p := range b.votes {
			out[i].Voted = out[i].Voted || p.Item == item
		}
	}
	b.pause()
	return out, err
}

func (b *book) Votes(_ context.Context, items, refs []string, shards []int) ([]like.VoteState, []like.Version, error) {
	leave, err := b.enter()
	defer leave()
	states, marks := make([]like.VoteState, len(items)), make([]like.Version, len(items))
	for i := range items {
		states[i], marks[i] = b.votes[Pair{items[i], refs[i]}], b.watermark[shards[i]]
	}
	b.pause()
	return states, marks, err
}

// sum is what an item's votes add up to.
func (b *book) sum(item string) (n int64) {
	for p, v := range b.votes {
		if p.Item == item {
			n += v.Adds()
		}
	}
	return n
}

func (b *book) LoadLikers(_ context.Context, items []string, page int, yield func(string, []string) error) error {
	leave, err := b.enter()
	defer leave()
	if err != nil {
		return err
	}
	for _, item := range items {
		for users := range slices.Chunk(slices.Sorted(maps.Keys(b.likers[item])), page) {
			if err := yield(item, users); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *book) Freezes(_ context.Context, shards, shard int, after int64, limit int) (page []like.Freeze, err error) {
	leave, err := b.enter()
	defer leave()
	for _, f := range b.frozen {
		if ShardOf(f.Item, shards) == shard && f.Version > after && len(page) < limit {
			page = append(page, f)
		}
	}
	return page, err
}

// freeze notes that an item is frozen, or not any more.
func (b *book) freeze(item string, frozen bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.freezes++
	b.frozen = slices.DeleteFunc(b.frozen, func(f like.Freeze) bool { return f.Item == item })
	b.frozen = append(b.frozen, like.Freeze{Item: item, Frozen: frozen, Version: b.freezes})
}

// drain does what a worker does: it moves everything in the log to the book.
func (b *book) drain(t *testing.T, l *Log) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for shard := range l.Shards() {
		entries, err := l.Read(t.Context(), shard, b.watermark[shard], 1<<20)
		ok(t, err)
		for _, e := range entries {
			for _, ch := range e.Changes {
				if ref, vote := ch.Vote(); vote {
					b.votes[Pair{ch.Item, ref}] = ch.State()
					continue
				}
				b.set(ch.Item, ch.User, ch.Liked)
			}
			b.watermark[shard] = e.Version
		}
		err = l.Trim(t.Context(), shard, b.watermark[shard])
		ok(t, err)
	}
}

func (b *book) set(item, user string, liked bool) {
	if b.likers[item] == nil {
		b.likers[item] = map[string]bool{}
	}
	if liked {
		b.likers[item][user] = true
	} else {
		delete(b.likers[item], user)
	}
}

// rig is a counter over a server of its own.
type rig struct {
	*Counter
	t    *testing.T
	rdb  *redis.Client
	log  *Log
	book *book
}

func newRig(t *testing.T, addr string, opt Options) *rig {
	t.Helper()
	if opt.Shards == 0 {
		opt.Shards = 4
	}
	r := &rig{t: t, book: newBook(), rdb: redis.NewClient(&redis.Options{Addr: addr})}
	t.Cleanup(func() { _ = r.rdb.Close() })
	r.log = NewLog(r.rdb, opt.Shards)
	r.Counter = start(t, addr, r.book, opt)
	return r
}

func start(t *testing.T, addr string, b *book, opt Options) *Counter {
	t.Helper()
	c, err := New(redis.UniversalOptions{Addrs: []string{addr}}, b, opt)
	ok(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := c.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return c
}

// onBoth runs a test on a real server and on miniredis.
func onBoth(t *testing.T, test func(t *testing.T, addr string)) {
	t.Run("redis", func(t *testing.T) { test(t, address(t, privatetest.Redis(t).URL())) })
	t.Run("miniredis", func(t *testing.T) { test(t, miniredis.RunT(t).Addr()) })
}

func address(t *testing.T, url string) string {
	t.Helper()
	opt, err := redis.ParseURL(url)
	ok(t, err)
	return opt.Addr
}

func realRig(t *testing.T, opt Options) *rig {
	t.Helper()
	return newRig(t, address(t, privatetest.Redis(t).URL()), opt)
}

// do applies one op, which must not fail.
func (r *rig) do(item, user string, want like.Want) like.Result {
	r.t.Helper()
	res := r.try(item, user, want)
	ok(r.t, res.Err)
	return res
}

func (r *rig) try(item, user string, want like.Want) like.Result {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 3*time.Second)
	defer cancel()
	res := make([]like.Result, 1)
	_ = r.Apply(ctx, []like.Op{{Item: item, User: user, Want: want}}, res)
	return res[0]
}

func (r *rig) read(item, user string) like.Reading {
	r.t.Helper()
	got, err := r.Read(r.t.Context(), []string{item}, user)
	ok(r.t, err)
	return got[0]
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func same[T any](t testing.TB, what string, got, want T, eq func(a, b T) bool) {
	t.Helper()
	if !eq(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func equal[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	same(t, what, got, want, func(a, b T) bool { return a == b })
}

// eventually waits for a condition that the counter reaches by itself.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); {
		if time.Now().After(deadline) {
			t.Fatalf("not reached: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// checkItem holds I2: the count is the cardinality, and both are n.
func (r *rig) checkItem(item string, n int64) {
	r.t.Helper()
	k := keysOf(ShardOf(item, r.log.Shards()))
	count, err := r.rdb.HGet(r.t.Context(), k.counts, item).Int64()
	ok(r.t, err)
	card, err := r.rdb.SCard(r.t.Context(), k.likers+item).Result()
	ok(r.t, err)
	equal(r.t, "count in redis of "+item, count, n)
	equal(r.t, "cardinality of "+item, card, n)
}

func sorted[T cmp.Ordered](s []T) []T { return slices.Sorted(slices.Values(s)) }
