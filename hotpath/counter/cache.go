package counter

import (
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
)

// cache holds the counts that this process has told last, for when Redis is
// away. Each item has one slot, which it may have to leave to another: hot items
// are the likeliest to be there. It never goes back to an older count.
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
	if since >= s.at {
		*s = cached{item, count, since}
	}
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
