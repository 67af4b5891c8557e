package counter

import (
	"strings"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"

	"plusone/hotpath/like"
)

const (
	cacheSlots = 1 << 15
	cacheLocks = 1 << 6
	// cacheFresh is how old a count may be that is told although the ledger could
	// be asked.
	cacheFresh = time.Second
	// cacheRecent is how old a count may be that is told although Redis could be
	// asked, by those who read one item and do not say who they are.
	cacheRecent = 50 * time.Millisecond
)

// cache holds the counts that this process has told last, for when Redis is away,
// and for items that are asked for all the time. Each item has one slot, which it
// may have to leave to another: hot items are the likeliest to be there. It never
// goes back to an older count.
type cache struct {
	born  time.Time
	locks [cacheLocks]sync.Mutex
	slots []cached
}

type cached struct {
	item  string
	count int64
	at    time.Duration // since born, by a clock that nobody sets
}

func newCache() *cache { return &cache{born: time.Now(), slots: make([]cached, cacheSlots)} }

func (c *cache) slot(item string) (*cached, *sync.Mutex) {
	h := xxhash.Sum64String(item)
	return &c.slots[h%cacheSlots], &c.locks[h%cacheLocks]
}

// put keeps a count as it was at a moment, unless the slot holds something newer.
func (c *cache) put(item string, count int64, at time.Time) {
	since := at.Sub(c.born)
	s, mu := c.slot(item)
	mu.Lock()
	defer mu.Unlock()
	if since < s.at {
		return
	}
	if s.item != item {
		s.item = strings.Clone(item) // which may be part of a request
	}
	s.count, s.at = count, since
}

// Recent tells an item's count without asking anybody, if this process has told it
// a moment ago, and later than every change that it has answered for. It does not
// allocate, and keeps nothing of item.
func (c *Counter) Recent(item []byte, now time.Time) (like.Reading, bool) {
	r, there := c.cache.recent(item, now)
	if !there || c.opt.Fence.at(now).way != toRedis { // while Redis is away other rules hold
		return like.Reading{}, false
	}
	return r, true
}

func (c *cache) recent(item []byte, now time.Time) (like.Reading, bool) {
	h := xxhash.Sum64(item)
	s, mu := &c.slots[h%cacheSlots], &c.locks[h%cacheLocks]
	mu.Lock()
	defer mu.Unlock()
	if s.item != string(item) || len(item) == 0 || now.Sub(c.born)-s.at > cacheRecent {
		return like.Reading{}, false
	}
	return like.Reading{Item: s.item, Count: s.count, Source: like.FromCache, AsOf: c.born.Add(s.at)}, true
}

// find returns a count, however old.
func (c *cache) find(item string) (like.Reading, bool) {
	s, mu := c.slot(item)
	mu.Lock()
	defer mu.Unlock()
	if s.item != item {
		return like.Reading{}, false
	}
	return like.Reading{Item: item, Count: s.count, Source: like.FromCache, AsOf: c.born.Add(s.at)}, true
}
