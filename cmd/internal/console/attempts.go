package console

import (
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	triesBurst = 10
	triesEvery = 6 * time.Second
	triesKept  = 1024 // addresses that have tried lately
)

// attempts bounds how often one address may try a token. Those beyond triesKept share
// one bound.
type attempts struct {
	mu     sync.Mutex
	by     map[netip.Prefix]*rate.Limiter
	others *rate.Limiter
}

func newAttempts() *attempts {
	return &attempts{by: map[netip.Prefix]*rate.Limiter{}, others: newTries()}
}

func newTries() *rate.Limiter { return rate.NewLimiter(rate.Every(triesEvery), triesBurst) }

// allow counts one attempt, and tells whether it may be made.
func (a *attempts) allow(r *http.Request, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	from := network(r)
	tries := a.by[from]
	if tries == nil {
		if len(a.by) >= triesKept {
			a.forget(now)
		}
		if len(a.by) >= triesKept {
			return a.others.AllowN(now, 1)
		}
		tries = newTries()
		a.by[from] = tries
	}
	return tries.AllowN(now, 1)
}

// forget drops those who have not tried for so long that it makes no difference.
func (a *attempts) forget(now time.Time) {
	for from, tries := range a.by {
		if tries.TokensAt(now) >= triesBurst {
			delete(a.by, from)
		}
	}
}

// network is whose attempt it is: an address, for IPv6 its /64.
func network(r *http.Request) netip.Prefix {
	addr, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Prefix{}
	}
	ip, bits := addr.Addr().Unmap(), 32
	if ip.Is6() {
		bits = 64
	}
	p, _ := ip.Prefix(bits) // 32 and 64 fit
	return p
}
