package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"plusone/cmd/chaos/house"
	"plusone/cmd/chaos/model"
	"plusone/cmd/chaos/report"
)

// The bounds of the judgement.
const (
	settleTime = time.Minute
	drainTime  = 30 * time.Second
	homeTime   = 100 * time.Second // a Redis that was away again and again has to answer for a minute
	leakTime   = 20 * time.Second  // for what belongs to the load to go after it
)

// judge looks at everything when all faults are over.
func (p *proof) judge(ctx context.Context) error {
	p.say("all faults are over: settling, draining, comparing")
	p.result.Seed, p.result.Fsync, p.result.Started = p.seed, p.fsync, p.timeline.Start().UTC()
	p.result.Median = p.timeline.Median(p.timeline.Start().Add(warmUp/3), p.timeline.Start().Add(p.time()))
	for _, s := range p.plan.Skipped {
		p.result.Skipped = append(p.result.Skipped, report.Skipped(s))
	}
	for _, step := range []func(context.Context) error{
		p.home, p.settled, p.ended, p.drained, p.agreed, p.reconciled, p.compared, p.unrepaired, p.alive, p.unleaked,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	p.steady()
	p.goals()
	p.result.Totals = p.timeline.Totals()
	p.result.Buckets = p.timeline.Buckets(p.timeline.Start().Add(p.time()))
	p.result.Sum()
	return nil
}

func (p *proof) check(name string, ok bool, format string, args ...any) {
	p.result.Checks = append(p.result.Checks, report.Check{Name: name, OK: ok, Told: fmt.Sprintf(format, args...)})
}

// settled: every client learns how its pairs stand.
func (p *proof) settled(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	if err := p.load.Settle(ctx); err != nil {
		p.check("every op gets its answer in the end", false, "%v", err)
		return nil
	}
	p.check("every op gets its answer in the end", true, "no pair is left open")
	return nil
}

// home: writes go to Redis again, and what was written to the ledger meanwhile is
// gone from Redis, which must not be asked before.
func (p *proof) home(ctx context.Context) error {
	return p.await(ctx, "writes are back at Redis", homeTime, p.house.Home)
}

func (p *proof) drained(ctx context.Context) error {
	return p.await(ctx, "the ledger has all logs", drainTime, p.house.Drained)
}

// await checks that something comes true within a time.
func (p *proof) await(ctx context.Context, what string, most time.Duration, is func(context.Context) (bool, error)) error {
	begin := time.Now()
	for {
		ok, err := is(ctx)
		took := time.Since(begin)
		if err != nil || ok || took > most {
			p.check(what, ok, "after %.1f s", took.Seconds())
			return err
		}
		if err := sleep(ctx, report.Step); err != nil {
			return err
		}
	}
}

// reconciled: a complete pass finds nothing. On a busy machine the reconciler that runs
// may keep a shard for longer than a pass waits for it.
func (p *proof) reconciled(ctx context.Context) error {
	var found struct {
		Items, Pairs    int64
		Drifts, Skipped []json.RawMessage
	}
	for try := 0; try == 0 || try < 3 && len(found.Skipped) > 0 && len(found.Drifts) == 0; try++ {
		out, err := p.house.Plusone(ctx, "reconcile", "--once", "--json", "--log-level=error",
			"--redis-url", p.house.Redis.URL(), "--postgres-url", p.house.Postgres.URL())
		if err != nil {
			p.check("the reconciler finds nothing", false, "%v", err)
			return nil
		}
		found.Drifts, found.Skipped = nil, nil
		if err := json.Unmarshal(out, &found); err != nil {
			return fmt.Errorf("the report of reconcile: %w", err)
		}
	}
	p.check("the reconciler finds nothing", len(found.Drifts) == 0 && len(found.Skipped) == 0,
		"%d items and %d pairs compared, %d drifts %s, %d shards skipped %s",
		found.Items, found.Pairs, len(found.Drifts), found.Drifts, len(found.Skipped), found.Skipped)
	return nil
}

// compared: both stores hold what was acknowledged, and no more.
func (p *proof) compared(ctx context.Context) error {
	stored, err := p.house.Stored(ctx)
	if err != nil {
		return err
	}
	if err := p.judged(ctx, &stored); err != nil {
		return err
	}
	votes, err := p.voted(ctx, &stored)
	if err != nil {
		return err
	}
	quota, err := p.bounded(ctx, &stored)
	if err != nil {
		return err
	}
	broken := slices.Concat(p.load.Wrongs(), votes, quota, model.Verify(p.load.Books(), stored, house.Version))
	n := map[model.Kind]int{}
	for _, w := range broken {
		n[w.Kind]++
		p.blame(w)
	}
	p.check("nothing acknowledged is lost", n[model.KindLost] == 0, "%d lost; the ledger has %d rows, Redis %d items",
		n[model.KindLost], len(stored.Rows), len(stored.Resident))
	p.check("nothing is wrong", n[model.KindWrong] == 0, "%d wrong answers, counts or likes", n[model.KindWrong])
	return nil
}

// blame enters a broken promise with the fault whose time it belongs to.
func (p *proof) blame(w model.Wrong) {
	r := report.Wrong{
		At: w.At.UTC(), Kind: string(w.Kind), Item: w.Pair.Item, User: w.Pair.User, What: w.What, History: w.History,
		During: "no fault",
	}
	at := w.At.Sub(p.timeline.Start()).Seconds()
	for i := len(p.result.Faults) - 1; i >= 0; i-- {
		f := &p.result.Faults[i]
		if at < f.Begin {
			continue
		}
		r.During = f.Kind + " " + f.Target
		if w.Kind == model.KindLost {
			f.Lost++
		} else {
			f.Wrong++
		}
		break
	}
	p.result.Wrongs = append(p.result.Wrongs, r)
}

// unrepaired: the reconciler, which ran all the time, has repaired nothing, for
// no like was ever damaged; and no like was refused by the ledger.
func (p *proof) unrepaired(ctx context.Context) error {
	found, err := p.house.Findings(ctx)
	p.check("no repair without damage", len(found) == 0, "%d repairs and dead letters %s", len(found), strings.Join(found, "; "))
	return err
}

// bornAway is how long a process may take to find that a store is away while it
// starts.
const bornAway = 20 * time.Second

// alive: no process has crashed or given up. One that ended since a store was
// away at its start said so and was started again.
func (p *proof) alive(context.Context) error {
	var bad []string
	young := 0
	for _, proc := range p.house.All {
		found, err := proc.Panics()
		if err != nil {
			return err
		}
		bad = append(bad, found...)
		for _, e := range proc.Exits() {
			if e.Lived < bornAway {
				young++
				continue
			}
			bad = append(bad, fmt.Sprintf("%s gave up at %.1f s: %s", proc.Name, e.At.Sub(p.timeline.Start()).Seconds(), e.How))
		}
	}
	p.check("no process has crashed or given up", len(bad) == 0, "%d did %s; %d starts failed since a store was away",
		len(bad), strings.Join(bad, "; "), young)
	return nil
}

// What may be left behind by the load. Pools keep connections that they have
// opened: five processes with up to 24 to Postgres, and about as many to Redis.
const (
	spareGoroutines = 15
	poolConns       = 5 * 24
)

func (p *proof) unleaked(ctx context.Context) error {
	var told []string
	leaks := true
	for begin := time.Now(); leaks && time.Since(begin) < leakTime; {
		leaks, told = false, nil
		for _, proc := range p.house.All {
			n, err := proc.Goroutines(ctx)
			if err != nil {
				return err
			}
			told = append(told, fmt.Sprintf("%s %d→%d", proc.Name, p.monitor.goroutines[proc.Name], n))
			leaks = leaks || n > p.monitor.goroutines[proc.Name]+spareGoroutines
		}
		if err := sleep(ctx, report.Step); err != nil {
			return err
		}
	}
	p.check("no goroutine is leaked", !leaks, "%s", strings.Join(told, ", "))
	if leaks {
		if err := p.keepStacks(ctx); err != nil {
			return err
		}
	}
	redis, pg, err := p.house.Connections(ctx)
	if err != nil {
		return err
	}
	p.check("no connection is leaked", redis <= poolConns && pg <= poolConns, "Redis %d→%d, Postgres %d→%d", p.monitor.redis, redis, p.monitor.pg, pg)
	return nil
}

func (p *proof) keepStacks(ctx context.Context) error {
	var errs []error
	for _, proc := range p.house.All {
		stacks, err := proc.Stacks(ctx)
		errs = append(errs, err, os.WriteFile(filepath.Join(p.out, proc.Name+".goroutines"), stacks, 0o600))
	}
	return errors.Join(errs...)
}

// steady: no process that lived long has grown much.
func (p *proof) steady() {
	const room = 48 << 20
	var told []string
	ok := true
	for _, l := range p.monitor.memory {
		if lived := l.last.Sub(l.since); lived >= 3*grown {
			told = append(told, fmt.Sprintf("%s %d→%d MB in %.0f s", l.name, l.early>>20, l.late>>20, lived.Seconds()))
			ok = ok && l.late < l.early*3/2+room
		}
	}
	p.check("memory is flat", ok, "%s", strings.Join(told, ", "))
}

// goals: full speed in time.
func (p *proof) goals() {
	var missed []string
	for _, f := range p.result.Faults {
		if f.Recovered == nil || *f.Recovered > p.goal.Seconds() {
			missed = append(missed, fmt.Sprintf("%s %s at %.0f s", f.Kind, f.Target, f.Begin))
		}
	}
	p.check(fmt.Sprintf("full speed within %v of each fault", p.goal), len(missed) == 0, "%d of %d missed it %s",
		len(missed), len(p.result.Faults), strings.Join(missed, ", "))
}

// write writes and prints the report.
func (p *proof) write() error {
	dir := p.out
	if err := p.result.WriteJSON(filepath.Join(dir, "report.json")); err != nil {
		return err
	}
	if err := p.result.WritePage(filepath.Join(dir, "report.html")); err != nil {
		return err
	}
	_, _ = fmt.Fprintln(p.term)
	if err := p.result.WriteTable(p.term); err != nil {
		return err
	}
	_, err := fmt.Fprintf(p.term, "\nreport: %s, report.json beside it\n", filepath.Join(dir, "report.html"))
	return err
}
