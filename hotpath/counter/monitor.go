package counter

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"plusone/hotpath/like"
)

// probeTime bounds one probe: a Redis that takes longer is not there.
const probeTime = 400 * time.Millisecond

// probeKey never exists. Deleting it is a write, which a Redis refuses that can't
// write, and leaves no trace.
const probeKey = "p1:probe"

// NewFence returns a Fence, which lets nothing through before Run has polled.
func NewFence(conn redis.UniversalOptions, modes Modes, opt FenceOptions) *Fence {
	conn.MaxRetries, conn.DialerRetries = -1, 1
	conn.MaintNotificationsConfig = noNotifications
	conn.ContextTimeoutEnabled = true
	conn.DialTimeout, conn.ReadTimeout, conn.WriteTimeout = probeTime, probeTime, probeTime
	conn.PoolSize = 1
	f := &Fence{
		opt: opt, modes: modes, process: rand.Text(), rdb: redis.NewUniversalClient(&conn), born: time.Now(),
		news: make(chan struct{}), wake: make(chan struct{}, 1),
	}
	f.lease.Store(&lease{})
	f.breaker = newBreaker(func() { f.Poll(); f.tell() })
	f.meter = newFenceMeter(f)
	return f
}

// MayGoDirect says that this process can write to the ledger directly: it may
// switch the mode when it loses Redis.
func (f *Fence) MayGoDirect() { f.direct.Store(true) }

// Run probes Redis and polls the ledger until ctx ends; afterwards the lease runs
// out.
func (f *Fence) Run(ctx context.Context) error {
	var both sync.WaitGroup
	both.Go(func() { f.probes(ctx) })
	both.Go(func() { f.polls(ctx) })
	both.Wait()
	return f.rdb.Close()
}

func (f *Fence) probes(ctx context.Context) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		f.probe(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// probe asks Redis for its clock, and whether it can write.
func (f *Fence) probe(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	sent := time.Since(f.born)
	pipe := f.rdb.Pipeline()
	clock := pipe.Time(ctx)
	pipe.Del(ctx, probeKey)
	_, err := pipe.Exec(ctx)
	took := time.Since(f.born) - sent
	if errors.Is(ctx.Err(), context.Canceled) {
		return
	}
	if err = notThere(err); err == nil {
		err = f.fit(ctx)
	}
	f.breaker.exchanged(err)

	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case err != nil:
		f.steady = time.Time{}
		return
	case f.steady.IsZero():
		f.steady = time.Now()
	}
	f.redis, f.probed = clock.Val().Sub(f.ours(sent+took/2)), true
}

// fit asks once whether a Redis that answers may be used.
func (f *Fence) fit(ctx context.Context) error {
	if f.opt.Fit == nil || f.fits {
		return nil
	}
	err := f.opt.Fit(ctx)
	f.fits = err == nil
	return err
}

// ours is this process' clock, which nobody sets, at a time since its birth.
func (f *Fence) ours(since time.Duration) time.Time { return f.born.Add(since).Round(0) }

func (f *Fence) polls(ctx context.Context) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		f.poll(ctx)
		select {
		case <-ctx.Done():
		case <-tick.C:
		case <-f.wake:
		}
	}
}

// poll tells the ledger that this process lives, learns the mode, and changes it
// when it must.
func (f *Fence) poll(ctx context.Context) {
	sent := time.Now()
	step, cancel := context.WithTimeout(ctx, pollTime)
	defer cancel()
	mode, err := f.modes.Beat(step, f.beat())
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		f.pollFailed(err)
		return
	}
	f.learned(mode, sent)
	lost := !mode.Direct && f.breaker.isOpen() && f.direct.Load()
	if cutOff := mode.Direct && mode.Since.IsZero(); lost || cutOff {
		if err := f.modes.Switch(step, f.process, mode.Epoch); err == nil {
			f.Poll() // soon: what came of it
		}
	}
}

// learned publishes what a poll told that was sent at a moment.
func (f *Fence) learned(mode like.Mode, sent time.Time) {
	got := time.Now()
	f.mu.Lock()
	f.ledger = mode.Now.Sub(f.ours(sent.Sub(f.born) + got.Sub(sent)/2))
	f.clocks = true
	f.mu.Unlock()
	l := &lease{mode: mode, known: true}
	switch {
	case !mode.Direct:
		l.until = sent.Add(leaseTime)
	case mode.Since.IsZero():
		l.direct = got.Add(time.Hour)
	default:
		l.direct = got.Add(like.DirectAfter - mode.Now.Sub(mode.Since))
	}
	if was := f.lease.Load(); was.known && was.mode.Direct != mode.Direct {
		f.meter.switches.Inc()
		slog.Warn("where likes are written has changed", "to_postgres", mode.Direct, "epoch", mode.Epoch)
	}
	f.publish(l)
}

// pollFailed goes on with Redis when the ledger does not answer: then nobody can
// have switched, but for the double fault that Fence tells of.
func (f *Fence) pollFailed(err error) {
	was := f.lease.Load()
	l := *was
	l.err = err
	if l.known && !l.mode.Direct && errors.Is(err, like.ErrUnavailable) {
		l.until = time.Now().Add(leaseTime)
	}
	f.publish(&l)
}

// beat is what this process tells of itself.
func (f *Fence) beat() like.Beat {
	f.mu.Lock()
	defer f.mu.Unlock()
	there := !f.steady.IsZero()
	return like.Beat{
		Process: f.process, Role: f.opt.Role, RedisOK: there && !f.breaker.isOpen(),
		Ahead: f.redis - f.ledger, AheadKnown: there && f.clocks, Seen: f.lastSeen(),
	}
}
