package counter

import (
	"context"
	"fmt"
	"time"

	"plusone/hotpath/like"
)

// seeAway answers looks without Redis: what this process has told within the
// last second from its cache, else from the ledger, else from the cache however
// old that is. The ledger lacks what waits in the log of the Redis that is away.
func (c *Counter) seeAway(looks []*look, g grant) {
	var ask []*look
	now := time.Now()
	for _, l := range looks {
		r, there := c.cache.find(l.item)
		switch {
		case there && l.user == "" && now.Sub(r.AsOf) < cacheFresh:
			l.tell(r)
		case g.known:
			ask = append(ask, l)
		default:
			c.seeOld(l, g.err)
		}
	}
	for len(ask) > 0 {
		n := min(len(ask), maxDirect)
		c.seeLedger(ask[:n])
		ask = ask[n:]
	}
}

// seeLedger asks for all looks in one query.
func (c *Counter) seeLedger(looks []*look) {
	items, users := make([]string, len(looks)), make([]string, len(looks))
	for i, l := range looks {
		items[i], users[i] = l.item, l.user
	}
	ctx, cancel := context.WithTimeout(c.life, directTime)
	defer cancel()
	asked := time.Now()
	known, err := c.src.Counts(ctx, items, users)
	for i, l := range looks {
		if err != nil {
			c.seeOld(l, fmt.Errorf("%w: %w", like.ErrUnavailable, err))
			continue
		}
		c.cache.put(l.item, known[i].Count, asked)
		l.tell(known[i])
	}
}

// seeOld answers with what this process has told last, or err.
func (c *Counter) seeOld(l *look, err error) {
	r, there := c.cache.find(l.item)
	if !there {
		l.fail(err)
		return
	}
	r.Unsure = l.user != ""
	l.tell(r)
}

// guess completes looks without the ledger, from what this process has told
// last; it reports false when it can't.
func (c *Counter) guess(missing []*look) bool {
	for _, l := range missing {
		if l.cold {
			r, there := c.cache.find(l.item)
			if !there {
				return false
			}
			l.out = r
		}
		l.out.Unsure = l.user != ""
	}
	return true
}

func (l *look) tell(r like.Reading) {
	l.out = r
	l.settle()
}
