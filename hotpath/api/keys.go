package api

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// soonest is the time between two readings that unknown keys ask for.
const soonest = 30 * time.Second

// keys are the current ones. Those of a set are read again by a goroutine that
// close stops; when that fails, the ones it has stay.
type keys struct {
	source source
	log    *slog.Logger
	now    atomic.Pointer[[]key]
	ask    chan struct{} // a token names an unknown key; one waiting is enough
	stop   context.CancelFunc
	done   sync.WaitGroup
}

func openKeys(ctx context.Context, s source, every time.Duration, log *slog.Logger) (*keys, error) {
	all, err := s.load(ctx)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background()) // lives until close, not as long as the start
	k := &keys{source: s, log: log, ask: make(chan struct{}, 1), stop: stop}
	k.now.Store(&all)
	if s.isSet {
		def(&every, 5*time.Minute)
		k.done.Go(func() { k.refresh(ctx, every) })
	}
	return k, nil
}

func (k *keys) close() {
	k.stop()
	k.done.Wait()
}

// find is the key for a token. A key that is not known may be a new one: the set
// is read again soon, and the client's next try finds it.
func (k *keys) find(kid string, alg jose.SignatureAlgorithm) (any, bool) {
	material, ok := pick(*k.now.Load(), k.source.isSet, kid, alg)
	if !ok && k.source.isSet {
		select {
		case k.ask <- struct{}{}:
		default:
		}
	}
	return material, ok
}

// refresh reads the set again now and then, and when asked to, but never more
// often than soonest.
func (k *keys) refresh(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	var last time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-k.ask:
			if time.Since(last) < soonest {
				continue
			}
		}
		last = time.Now()
		all, err := k.source.load(ctx)
		if err != nil {
			k.log.Warn("keys of tokens not read again; the old ones stay", "error", err)
			continue
		}
		k.now.Store(&all)
	}
}
