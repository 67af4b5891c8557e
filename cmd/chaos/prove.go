package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"plusone/cmd/chaos/fire"
	"plusone/cmd/chaos/house"
	"plusone/cmd/chaos/load"
	"plusone/cmd/chaos/report"
)

// The run's own times.
const (
	buildTime = 2 * time.Minute
	warmUp    = 5 * time.Second  // of load before the first fault
	calmTime  = 3 * time.Second  // longer than anything can be on its way: see load.Patience and the API's --op-timeout
	giveUp    = 20 * time.Second // for full speed after a fault
	lastFault = 15 * time.Second // no fault begins so late
)

// proof is one run.
type proof struct {
	options
	term     io.Writer
	house    *house.House
	plan     *fire.Plan
	load     *load.Load
	timeline *report.Timeline
	monitor  *monitor
	result   report.Run
}

// prove makes the run and writes its report. It returns whether every promise
// was kept; an error means that there is no verdict.
func prove(ctx context.Context, o options, out io.Writer) (ok bool, err error) {
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return false, err
	}
	p := &proof{options: o, term: out}
	defer func() {
		if p.house != nil {
			err = errors.Join(err, p.house.Close())
		}
		for _, store := range []string{"redis", "postgres", "partners-redis", "partners-postgres"} {
			err = errors.Join(err, os.RemoveAll(filepath.Join(o.out, store)))
		}
	}()
	p.say("building the house in %s", o.out)
	building, cancel := context.WithTimeout(ctx, buildTime)
	defer cancel()
	if p.house, err = house.Build(building, house.Options{Bin: o.bin, Dir: o.out, Fsync: o.fsync, Partners: o.participants}); err != nil {
		return false, err
	}
	if p.plan, err = fire.NewPlan(p.house, o.seed, o.only); err != nil {
		return false, err
	}
	if err := p.burn(ctx); err != nil {
		return false, err
	}
	if err := p.judge(ctx); err != nil {
		return false, err
	}
	return p.result.OK(), p.write()
}

func (p *proof) say(format string, args ...any) {
	_, _ = fmt.Fprintf(p.term, time.Now().UTC().Format("15:04:05 ")+format+"\n", args...)
}

// burn runs load and faults until the time is over, and the load until it knows
// how all its pairs stand.
func (p *proof) burn(ctx context.Context) (err error) {
	if p.monitor, err = newMonitor(ctx, p.house); err != nil {
		return err
	}
	p.timeline = report.NewTimeline(time.Now())
	a, b := p.house.Process("api-1"), p.house.Process("api-2")
	p.load = load.New(p.seed, p.timeline, load.Options{
		Names: [2]string{a.Name, b.Name}, Addrs: [2]string{a.Public, b.Public},
		Key: house.Key, Judging: p.participants, Greedy: greedy(),
	})
	p.say("seed %d, appendfsync %s, %v of load", p.seed, p.fsync, p.time())

	loading, stop := context.WithCancel(ctx)
	defer stop()
	var beside errgroup.Group
	beside.Go(func() error { p.load.Run(loading); return nil })
	beside.Go(func() error { p.monitor.run(loading, p.timeline); return nil })
	err = p.faults(ctx)
	p.result.Seconds = time.Since(p.timeline.Start()).Seconds()
	stop()
	if err := errors.Join(err, beside.Wait()); err != nil {
		return err
	}
	if err := sleep(ctx, calmTime); err != nil {
		return err
	}
	p.load.Calm()
	return nil
}

func (p *proof) time() time.Duration { return time.Duration(p.minutes * float64(time.Minute)) }

// faults brings one fault after the other.
func (p *proof) faults(ctx context.Context) error {
	end := p.timeline.Start().Add(p.time())
	if err := sleep(ctx, warmUp); err != nil {
		return err
	}
	p.load.Calm()
	for time.Until(end) > lastFault {
		f := p.plan.Next()
		if err := sleep(ctx, f.Wait); err != nil {
			return err
		}
		if err := p.fault(ctx, f); err != nil {
			return err
		}
	}
	return sleep(ctx, time.Until(end))
}

// fault brings one fault, and returns when everything is calm again.
func (p *proof) fault(ctx context.Context, f *fire.Fault) error {
	median := p.timeline.Median(p.timeline.Start().Add(warmUp/3), time.Now())
	p.load.Fault()
	begin := time.Now()
	if err := p.during(ctx, f); err != nil {
		return err
	}
	end := time.Now()
	from := end
	if f.Killed() {
		from = begin
	}
	after, recovered := p.recover(ctx, from, median)
	if err := sleep(ctx, calmTime); err != nil {
		return err
	}
	p.load.Calm()
	p.enter(f, begin, end, from, after, recovered)
	return ctx.Err()
}

// during makes a fault and takes it back, whatever happens in between.
func (p *proof) during(ctx context.Context, f *fire.Fault) error {
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute+f.Hold)
	defer cancel()
	err := f.Begin(ending, p.house)
	if err == nil {
		err = sleep(ctx, f.Hold)
	}
	return errors.Join(err, f.End(ending, p.house))
}

// fullSpeed is the part of the median rate that counts as recovered.
const fullSpeed = 0.9

func (p *proof) recover(ctx context.Context, from time.Time, median float64) (after time.Duration, ok bool) {
	for giving := time.Now().Add(giveUp); time.Now().Before(giving); {
		if after, ok = p.timeline.Reached(from, time.Now(), fullSpeed*median); ok {
			return after, true
		}
		if sleep(ctx, report.Step) != nil {
			break
		}
	}
	return 0, false
}

// shortLog is what the logs hold at most when drains keep up with the load.
const shortLog = 600

func (p *proof) enter(f *fire.Fault, begin, end, from time.Time, after time.Duration, recovered bool) {
	start, now := p.timeline.Start(), time.Now()
	sum := p.timeline.Between(begin, now)
	r := report.Fault{
		Kind: f.Kind, Target: f.Target, From: report.FromEnd,
		Begin: begin.Sub(start).Seconds(), End: end.Sub(start).Seconds(), Until: now.Sub(start).Seconds(),
		Gap: p.timeline.LongestGap(begin, now).Seconds(), Acked: sum.Acked, Unknown: sum.Unknown,
	}
	for _, n := range sum.Refused {
		r.Refused += n
	}
	if f.Killed() {
		r.From = report.FromBegin
	}
	told := "NOT RECOVERED"
	if recovered {
		s := after.Seconds()
		r.Recovered = &s
		told = fmt.Sprintf("full speed after %.1f s", s)
	}
	if d, ok := p.timeline.LogBelow(from, now, shortLog); ok {
		s := d.Seconds()
		r.Drained = &s
	}
	p.result.Faults = append(p.result.Faults, r)
	p.say("%-18s %-28s %.1f s: %d acknowledged, %d unknown, %d refused, longest gap %.1f s, %s; wrong so far: %d",
		f.Kind, f.Target, end.Sub(begin).Seconds(), r.Acked, r.Unknown, r.Refused, r.Gap, told, len(p.load.Wrongs()))
}

// sleep waits, or returns the error of a context that has ended.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
