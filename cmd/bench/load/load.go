package load

import (
	"context"
	"errors"
	"maps"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// Load is a load that may be held from outside.
type Load struct {
	plan  Plan
	loops []*loop
	held  atomic.Bool
}

// New connects. What it opened Run closes.
func New(p Plan) (*Load, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	l := &Load{plan: p}
	for thread := range p.Threads {
		one, err := newLoop(p, thread, &l.held)
		if err != nil {
			return nil, errors.Join(err, l.close())
		}
		l.loops = append(l.loops, one)
	}
	return l, nil
}

func (l *Load) close() (err error) {
	for _, one := range l.loops {
		err = errors.Join(err, one.close())
	}
	return err
}

// Hold lets the load send nothing more, or go on.
func (l *Load) Hold(yes bool) { l.held.Store(yes) }

// tick is the time between two calls of progress.
const tick = 50 * time.Millisecond

// Run makes the load and returns when everything is answered. It calls progress
// all the time, and exactly at both ends of the measured time says so.
func (l *Load) Run(progress func(Progress), begin, end func()) (Result, error) {
	var threads errgroup.Group
	wall := time.Now()
	for _, one := range l.loops {
		one.wall = wall
		threads.Go(func() error {
			runtime.LockOSThread() // its timers are sharper than others'
			defer runtime.UnlockOSThread()
			return one.run()
		})
	}
	over, stop := context.WithCancel(context.Background())
	cpu := make(chan time.Duration, 1) // one value, from the goroutine below
	go func() { cpu <- l.watch(over, wall, progress, begin, end) }()
	err := threads.Wait()
	stop()
	res := l.result()
	res.CPU = <-cpu
	return res, errors.Join(err, l.close())
}

// watch tells how it goes until over ends, and returns the CPU time of this
// process within the measured time.
func (l *Load) watch(over context.Context, wall time.Time, progress func(Progress), begin, end func()) (cpu time.Duration) {
	ticks := time.NewTicker(tick)
	defer ticks.Stop()
	from := time.NewTimer(l.plan.Warm)
	to := time.NewTimer(l.plan.Warm + l.plan.For)
	defer from.Stop()
	defer to.Stop()
	before := CPU()
	ended := sync.OnceFunc(func() {
		cpu = CPU() - before
		end()
	})
	defer ended() // a load may have ended early
	for {
		select {
		case <-from.C:
			before = CPU()
			begin()
		case <-to.C:
			ended()
		case <-ticks.C:
			progress(Progress{At: time.Since(wall), Acked: l.acked()})
		case <-over.Done():
			return cpu
		}
	}
}

func (l *Load) acked() (n uint64) {
	for _, one := range l.loops {
		n += one.done.Load()
	}
	return n
}

func (l *Load) result() Result {
	res, hist := Result{Took: l.plan.For, Codes: map[int]uint64{}}, newHistogram()
	for _, one := range l.loops {
		r := &one.res
		res.Acked += r.Acked
		res.Unknown += r.Unknown
		res.Refused += r.Refused
		res.Requests += r.Requests
		res.Ops += r.Ops
		for code := range maps.Keys(r.Codes) {
			res.Codes[code] += r.Codes[code]
		}
		hist.Merge(one.hist)
	}
	at := func(q float64) float64 { return float64(hist.ValueAtQuantile(q)) }
	res.Latency = Latency{P50: at(50), P90: at(90), P99: at(99), P999: at(99.9), Max: float64(hist.Max())}
	for _, q := range []float64{1, 10, 25, 50, 75, 90, 95, 98, 99, 99.5, 99.8, 99.9, 99.95, 99.99, 100} {
		res.Latency.Curve = append(res.Latency.Curve, Quantile{q, at(q)})
	}
	return res
}

// CPU is the time that this process has used.
func CPU() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
