package counter

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"plusone/hotpath/like"
)

// kind says what an errand is about.
type kind uint8

const (
	verify  kind = iota // a server that was not looked at yet
	closed              // a shard that is not open
	cold                // an item that is not resident
	unknown             // a user of whom a partly resident item knows nothing
)

// errand is something that an op or a read needs before it can be tried again.
// Without slot, look and vote it is a load in the background.
type errand struct {
	kind  kind
	shard int
	item  string
	user  string // for unknown
	slot  *slot
	look  *look
	vote  *ballot
}

const (
	maxErrands = 1024 // taken at once; bounds one question to the ledger
	// pause before what another process is doing is looked at again.
	pause = 20 * time.Millisecond
)

// warmer does everything on the op's way that needs the ledger, so that the
// lanes never wait for it. It has one goroutine; the learner beside it has
// another.
type warmer struct {
	c     *Counter
	queue *queue[errand]
	token string // marks this process's leases, so that it finds those again whose answer was lost

	fullness fullness
	warned   atomic.Int64 // unix time of the last failure that was logged; failures come in crowds
}

func newWarmer(c *Counter) *warmer {
	return &warmer{c: c, queue: newQueue[errand](c.opt.QueueSize), token: rand.Text()}
}

func (w *warmer) run() {
	for {
		errands, ok := w.queue.take(maxErrands)
		if !ok {
			return
		}
		w.do(errands)
		w.queue.give(errands, false)
	}
}

func (w *warmer) do(errands []errand) {
	if w.elsewhere(errands) {
		return
	}
	var toVerify, toOpen, toLoad []errand
	for _, e := range errands {
		switch e.kind {
		case verify:
			toVerify = append(toVerify, e)
		case closed:
			toOpen = append(toOpen, e)
		case cold:
			toLoad = append(toLoad, e)
		}
	}
	ctx, cancel := context.WithTimeout(w.c.life, w.c.opt.LoadTime)
	defer cancel()
	if len(toVerify) > 0 {
		w.end(toVerify, w.c.verify(ctx))
	}
	if len(toOpen) > 0 {
		w.open(ctx, toOpen)
	}
	if len(toLoad) > 0 {
		w.load(ctx, toLoad)
	}
}

// elsewhere gives errands back that are of no use while writes do not go to
// Redis: the lanes know where else to go.
func (w *warmer) elsewhere(errands []errand) bool {
	other := w.c.opt.Fence.at(time.Now()).way != toRedis
	if other {
		w.end(errands, nil)
	}
	return other
}

// open opens the shards that errands wait for.
func (w *warmer) open(ctx context.Context, errands []errand) {
	byShard := make(map[int][]errand)
	for _, e := range errands {
		byShard[e.shard] = append(byShard[e.shard], e)
	}
	for shard, waiting := range byShard {
		opened, err := w.c.open(ctx, shard)
		if err == nil && !opened {
			w.c.opt.Changed(shard) // only a drain can help
			w.later(waiting)
			continue
		}
		w.end(waiting, err)
	}
}

// end tries again what waited for something that is done now, or fails it.
func (w *warmer) end(errands []errand, err error) {
	if err != nil {
		w.warn(err)
	}
	for _, e := range errands {
		if err != nil {
			e.fail(fmt.Errorf("%w: %w", like.ErrUnavailable, err))
			continue
		}
		w.c.retry(e)
	}
}

// warn logs a failure, at most one a second.
func (w *warmer) warn(err error) {
	if now := time.Now().Unix(); w.warned.Swap(now) != now {
		slog.Warn("counter: ops that need the ledger fail", "error", err)
	}
}

// later tries errands again after a pause, or ends those that are too late.
func (w *warmer) later(errands []errand) {
	errands = append([]errand(nil), errands...) // the caller's array is used again
	time.AfterFunc(pause, func() {
		now := time.Now()
		for _, e := range errands {
			if e.late(now) {
				e.fail(fmt.Errorf("%w: the item is still being made ready", like.ErrUnavailable))
				continue
			}
			w.c.retry(e)
		}
	})
}

// again hands an op to the warmer that Redis has not applied.
func (c *Counter) again(e errand, s *slot) {
	s.comeBack()
	s.unit.drop(s)
	e.slot = s
	c.errand(e)
}

func (c *Counter) errand(e errand) {
	queue := c.warm.queue
	if e.kind == unknown {
		queue = c.learn.queue
	}
	if !queue.put(e) {
		e.fail(fmt.Errorf("%w: too many items are being loaded", like.ErrBusy))
	}
}

// retry puts what waited back into its queue.
func (c *Counter) retry(e errand) {
	ok := true
	switch {
	case e.slot != nil:
		ok = c.writes.put(e.slot)
	case e.look != nil:
		ok = c.reads.put(e.look)
	case e.vote != nil:
		ok = c.votes.put(e.vote)
	}
	if !ok {
		e.fail(fmt.Errorf("%w: the queue is full", like.ErrBusy))
	}
}

func (e errand) fail(err error) {
	switch {
	case e.slot != nil:
		e.slot.fail(err)
	case e.look != nil:
		e.look.fail(err)
	case e.vote != nil:
		e.vote.fail(err)
	}
}

func (e errand) late(now time.Time) bool {
	return e.slot != nil && e.slot.late(now) || e.look != nil && e.look.late(now) || e.vote != nil && e.vote.late(now)
}
