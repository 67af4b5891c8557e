package api

import (
	"hash/maphash"
	"sync"
	"time"
)

const (
	bucketWays = 8       // places that a bucket may have
	bucketSets = 1 << 13 // times bucketWays: how many buckets are remembered, in 2 MiB
	bucketLock = 64      // locks, each for every 64th set
)

// buckets are the token buckets of everybody who has asked lately, by the generic
// cell rate algorithm: one time tells when a bucket is full again. They take the
// same memory whoever asks. When a set of places is taken the bucket that is
// nearest to full goes: forgetting it gives least away, and nobody can flush an
// empty one by making up names.
type buckets struct {
	each  time.Duration // in which one request is given back
	depth time.Duration // each × burst: an empty bucket is full after it
	seed  maphash.Seed

	locks [bucketLock]sync.Mutex
	sets  [bucketSets][bucketWays]bucket
}

// bucket is guarded by the lock of its set. Its times are on the limits' clock.
type bucket struct {
	key    uint64        // seeded hash of whose it is
	full   time.Duration // when it is full again; in the past it is free to take
	told   time.Duration // full as the other processes know it
	shared bool          // it is near its limit, and compared with the other processes
}

// taking is what came of a request.
type taking struct {
	ok    bool
	left  int           // requests that are left
	full  time.Duration // until all are
	retry time.Duration // until one is, when it is not ok
	near  bool          // the bucket has to be compared with the other processes from now on
}

func newBuckets(l Limit) *buckets {
	each := time.Duration(float64(time.Second) / l.Rate)
	return &buckets{each: each, depth: each * time.Duration(l.Burst), seed: maphash.MakeSeed()}
}

// take takes one request out of the bucket.
func (b *buckets) take(key uint64, now time.Duration) taking {
	set, lock := b.at(key)
	lock.Lock()
	defer lock.Unlock()
	k := find(set, key)
	if k == nil {
		k = b.replace(set)
		*k = bucket{key: key}
	}
	level := max(k.full-now, 0) + b.each
	if level > b.depth {
		return taking{retry: level - b.depth, full: k.full - now}
	}
	k.full = now + level
	t := taking{ok: true, left: int((b.depth - level) / b.each), full: level}
	if !k.shared && level > b.depth/4 {
		k.shared, t.near = true, true
	}
	return t
}

func (b *buckets) at(key uint64) (*[bucketWays]bucket, *sync.Mutex) {
	i := key % bucketSets
	return &b.sets[i], &b.locks[i%bucketLock]
}

func find(set *[bucketWays]bucket, key uint64) *bucket {
	for i := range set {
		if set[i].key == key {
			return &set[i]
		}
	}
	return nil
}

// replace is the place of the bucket that is nearest to full.
func (b *buckets) replace(set *[bucketWays]bucket) *bucket {
	least := &set[0]
	for i := range set {
		if set[i].full < least.full {
			least = &set[i]
		}
	}
	return least
}

// on calls f with the bucket of key, under its lock, if it is there and shared.
func (b *buckets) on(key uint64, f func(*bucket)) {
	set, lock := b.at(key)
	lock.Lock()
	defer lock.Unlock()
	if k := find(set, key); k != nil && k.shared {
		f(k)
	}
}

// tell returns what has been taken out of a shared bucket and not been told yet;
// it is told now. It is false for a bucket that was forgotten.
func (b *buckets) tell(key uint64, now time.Duration) (spent time.Duration, ok bool) {
	b.on(key, func(k *bucket) {
		spent, ok = k.untold(now), true
		k.told = k.full
	})
	return spent, ok
}

func (k *bucket) untold(now time.Duration) time.Duration { return max(k.full-max(k.told, now), 0) }

// untell takes tell back: the others were not reached.
func (b *buckets) untell(key uint64, spent time.Duration) {
	b.on(key, func(k *bucket) { k.told -= spent })
}

// learn sets how far from full a bucket is with what all processes have told. It
// reports whether it goes on being shared.
func (b *buckets) learn(key uint64, level, now time.Duration) (shared bool) {
	b.on(key, func(k *bucket) {
		untold := k.untold(now)
		k.told = now + min(level, b.depth)
		k.full = max(k.full, k.told+untold)
		shared = k.full-now > b.depth/8
		k.shared = shared
	})
	return shared
}

// forget ends the sharing of a bucket: it asks for it again with its next request.
func (b *buckets) forget(key uint64) {
	b.on(key, func(k *bucket) { k.shared = false })
}
