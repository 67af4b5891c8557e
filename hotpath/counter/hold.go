package counter

import (
	"context"
	"sync"
	"time"
)

// loanTime is how long the items that a process was loading wait for it after
// it has died. A living one holds on to its leases, however long it takes.
const loanTime = 2 * time.Second

// hold renews the leases of loans until the returned function has been called.
// A lease that could not be renewed in time runs out, and install.lua refuses
// what was loaded under it.
func (w *warmer) hold(loans []*loan) (letGo func()) {
	ctx, cancel := context.WithCancel(w.c.life)
	var renewing sync.WaitGroup
	renewing.Go(func() {
		tick := time.NewTicker(loanTime / 4)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				w.renew(ctx, loans)
			}
		}
	})
	return func() {
		cancel()
		renewing.Wait()
	}
}

// renew sets the time of leases that are still ours back to its start.
func (w *warmer) renew(ctx context.Context, loans []*loan) {
	ctx, cancel := context.WithTimeout(ctx, loanTime/4)
	defer cancel()
	leases := map[int][]string{}
	for _, l := range loans {
		leases[l.shard] = append(leases[l.shard], w.c.keys[l.shard].lease+l.item)
	}
	for _, names := range leases {
		holdScript.run(ctx, w.c.plain, names, w.token, loanTime.Milliseconds())
	}
}
