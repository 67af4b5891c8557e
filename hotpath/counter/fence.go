package counter

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"plusone/hotpath/like"
)

// Modes is what a Fence needs of the ledger, which knows where everybody writes.
type Modes interface {
	// Beat notes that this process lives and returns the mode.
	Beat(ctx context.Context, b like.Beat) (like.Mode, error)
	// Switch makes everybody write to the ledger, unless the mode is no longer that
	// of epoch or another process reaches Redis. It completes a switch that was cut
	// off.
	Switch(ctx context.Context, process string, epoch int64) error
}

// The times of the protocol. A write to Redis is answered before anybody writes
// directly, since leaseTime + graceTime < like.DirectAfter; the rest is for clocks
// that do not run alike.
const (
	pollEvery = 250 * time.Millisecond
	pollTime  = time.Second
	leaseTime = time.Second            // writes may go to Redis after a poll that said so was sent
	graceTime = 400 * time.Millisecond // their answers are believed afterwards
	waitTime  = time.Second            // that ops wait for a poll
)

// Fence tells a process where to write: to Redis, to the ledger, or nowhere for
// now. Every process that writes to Redis has one, and runs it.
//
// The ledger holds one mode for all (like.Mode). A process asks for it four times
// a second:
//
//	the poll says   Redis answers us   writes go
//	redis           yes                to Redis, for leaseTime from when the poll was sent
//	redis           no                 nowhere; the mode changes if nobody else reaches Redis
//	ledger                             to the ledger, like.DirectAfter the switch
//	nothing yet                        wait for it
//	no answer       yes                to Redis: Postgres is away, so nobody can switch
//	no answer, and ledger before       nowhere
//
// Why two processes never take an op of one moment to both sides: whoever was told
// "redis" had asked before the switch's time. It sends nothing leaseTime after it
// asked and believes no answer graceTime later; then direct writes begin. The
// transaction of each checks the mode again, so an opinion that is out of date
// does no harm. After the return the same lease says who may send.
//
// A process that was stopped finds its lease run out, and polls. What it had just
// begun to send Redis refuses by its own clock, which every script call is told
// the end of the lease by. Should one get through (a clock that was set), then
// nobody is told that it was done, the log carries it like every other change, and
// the way back to Redis copes with it (rejoin.lua).
//
// One double fault is left: while this process alone does not reach Postgres and
// all others do not reach Redis, both sides take ops, and of two on one pair the
// one with the higher version stays.
type Fence struct {
	opt     FenceOptions
	modes   Modes
	process string
	rdb     redis.UniversalClient // for probes alone
	breaker *breaker
	born    time.Time
	meter   *fenceMeter

	fits bool // owned by the probes: Fit has agreed

	lease  atomic.Pointer[lease]
	seen   atomic.Int64 // the highest version that Redis gave us
	direct atomic.Bool  // this process can write directly, and so may switch

	mu     sync.Mutex
	news   chan struct{} // closed with every change of the answer
	steady time.Time     // since when every probe was answered; zero: the last was not
	probed bool          // a probe was answered at least once
	redis  time.Duration // Redis' clock minus ours
	ledger time.Duration // the ledger's clock minus ours
	clocks bool          // both are known

	wake chan struct{} // holds one: poll now
}

// FenceOptions say whose fence it is.
type FenceOptions struct {
	Role string // of the process, for people to read
	// Fit is asked, once Redis answers, whether it may be used; until it has said so
	// Redis counts as away. nil: it may.
	Fit func(context.Context) error
	// Metrics, where to register; nil: nowhere.
	Metrics prometheus.Registerer
}

// lease is what the last poll told. It is never changed.
type lease struct {
	mode   like.Mode
	known  bool      // the ledger has told the mode at least once
	until  time.Time // writes may be sent to Redis
	direct time.Time // writes may be sent to the ledger from then on
	err    error     // of the last poll
}

var (
	errAway      = fmt.Errorf("%w: redis does not answer this process", like.ErrUnavailable)
	errBoth      = fmt.Errorf("%w: neither redis nor the ledger answers", like.ErrUnavailable)
	errSwitching = fmt.Errorf("%w: writes are being switched to the ledger", like.ErrUnavailable)
	errLate      = fmt.Errorf("%w: redis answered after others may have begun to write to the ledger", like.ErrUnknown)
	errNoMode    = fmt.Errorf("%w: the ledger does not tell where to write", like.ErrUnavailable)
)

// way is where an op goes.
type way uint8

const (
	toRedis way = iota
	toLedger
	nowhere
	later // a poll is under way that will tell
)

// grant is the leave to send ops.
type grant struct {
	way   way
	until time.Time // for toRedis
	err   error     // for nowhere: why; nothing was applied
	known bool      // the ledger answered the last poll
}

// at is what is allowed at a moment. Without a Fence everything goes to Redis:
// that is for those who are alone.
func (f *Fence) at(now time.Time) grant {
	if f == nil {
		return grant{way: toRedis, until: now.Add(time.Hour), known: true}
	}
	l := f.lease.Load()
	g := grant{way: nowhere, until: l.until, known: l.err == nil}
	switch {
	case l.mode.Direct && l.err != nil:
		g.err = errBoth
	case l.mode.Direct && now.Before(l.direct):
		g.err = errSwitching
	case l.mode.Direct:
		g.way = toLedger
	case f.breaker.isOpen():
		g.err = errAway
	case now.Before(l.until):
		g.way = toRedis
	case l.err != nil && !(l.known && errors.Is(l.err, like.ErrUnavailable)):
		g.err = errNoMode
	default:
		g.way = later
	}
	return g
}

// now is at, after the poll under way if it matters. It waits for waitTime at most.
func (f *Fence) now(ctx context.Context) grant {
	g := f.at(time.Now())
	if g.way != later {
		return g
	}
	f.meter.waits.Inc()
	timeout := time.NewTimer(waitTime)
	defer timeout.Stop()
	for {
		news := f.nextNews()
		if g = f.at(time.Now()); g.way != later {
			return g
		}
		select {
		case <-news:
			continue
		case <-ctx.Done():
		case <-timeout.C:
		}
		return grant{way: nowhere, err: errNoMode}
	}
}

// believes reports whether an answer of Redis that has just come may be passed
// on: nobody has written directly before it was given.
func (g grant) believes() bool { return time.Now().Before(g.until.Add(graceTime)) }

// refusal is why an op can't go anywhere.
func (g grant) refusal() error {
	switch {
	case g.err != nil:
		return g.err
	case g.way == toLedger: // of a process that can't write there
		return fmt.Errorf("%w: %w", like.ErrUnavailable, like.ErrElsewhere)
	default:
		return errNoMode
	}
}

// Err is nil when this process may change Redis now; it may wait for a poll. Otherwise it wraps
// like.ErrElsewhere or like.ErrUnavailable.
func (f *Fence) Err(ctx context.Context) error {
	g := f.now(ctx)
	if g.way == toRedis {
		return nil
	}
	return g.refusal()
}

// exchanged tells what came of an exchange with Redis.
func (f *Fence) exchanged(err error) {
	if f != nil {
		f.breaker.exchanged(notThere(err))
	}
}

// saw remembers a version that Redis gave.
func (f *Fence) saw(v like.Version) {
	if f == nil {
		return
	}
	for {
		old := f.seen.Load()
		if int64(v) <= old || f.seen.CompareAndSwap(old, int64(v)) {
			return
		}
	}
}

func (f *Fence) lastSeen() like.Version { return like.Version(f.seen.Load()) }

// outdated says that the ledger has refused a direct write: the next op waits for
// a new poll.
func (f *Fence) outdated() {
	f.publish(&lease{known: true})
	f.Poll()
}

// Poll asks for the mode at once.
func (f *Fence) Poll() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// Direct reports whether writes go to the ledger, as of the last poll, and for
// how long Redis must have answered before that may end.
func (f *Fence) Direct() (direct bool, patience time.Duration) {
	l := f.lease.Load()
	return l.mode.Direct, l.mode.Patience
}

// redisTime is a time of this process in ms of Redis' clock, 0 when no probe has
// told it yet.
func (f *Fence) redisTime(t time.Time) int64 {
	if f == nil {
		return 0
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.probed {
		return 0
	}
	return f.ours(t.Sub(f.born)).Add(f.redis).UnixMilli()
}

// Steady is for how long every probe of Redis has been answered.
func (f *Fence) Steady() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.steady.IsZero() {
		return 0
	}
	return time.Since(f.steady)
}

// Ready tells a person where writes go and why; an error means that they are
// refused.
func (f *Fence) Ready() (string, error) {
	l, g := f.lease.Load(), f.at(time.Now())
	switch {
	case g.way == toLedger:
		return fmt.Sprintf("to Postgres since %s, because Redis was away; they go back when it has answered for %v (now %v)",
			l.mode.Since.Format(time.RFC3339), l.mode.Patience, f.Steady().Round(time.Second/10)), nil
	case errors.Is(g.err, errAway):
		return "", fmt.Errorf("refused: %w, and either others reach it or Postgres is away, too", g.err)
	case g.way == nowhere:
		return "", fmt.Errorf("refused: %w", g.err)
	case l.err != nil:
		return "to Redis; Postgres does not answer, so they can't go anywhere else", nil //nolint:nilerr // another check tells it
	default:
		return "to Redis, if it goes away to Postgres", nil
	}
}

func (f *Fence) nextNews() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.news
}

// publish makes l what everybody goes by.
func (f *Fence) publish(l *lease) {
	f.lease.Store(l)
	f.tell()
}

func (f *Fence) tell() {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.news)
	f.news = make(chan struct{})
}
