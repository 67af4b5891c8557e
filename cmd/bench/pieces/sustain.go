package pieces

import (
	"context"
	"fmt"
	"time"

	"plusone/cmd/bench/load"
	"plusone/cmd/bench/stage"
)

const (
	// quickly is the time between samples that decide whether a load is held.
	quickly = 50 * time.Millisecond
	// waiting is how many likes may be acknowledged and not persisted before the
	// load is held, so that the log does not grow: about two seconds' worth.
	waiting = 100_000
	// stageTime bounds what comes after a load.
	stageTime = time.Minute
)

// sustained is API and worker together: what is accepted is persisted.
func sustained(args ...string) func(context.Context, *Lab) (Figures, error) {
	return func(ctx context.Context, l *Lab) (Figures, error) {
		return l.onAPI(ctx, "everysec", nil, func(s *stage.Stage, api *stage.Process) (Figures, error) {
			if _, err := s.Plusone(ctx, "worker", args...); err != nil {
				return Figures{}, err
			}
			plan := l.plan(api.Addr, load.Put)
			plan.Warm = l.time() / 2
			w := &watcher{stage: s, api: api, every: quickly, bound: waiting, persisted: s.Persisted}
			res, f, err := drive(ctx, w, plan)
			if err != nil {
				return f, err
			}
			w.sustain(&f)
			f.Counted, err = l.settled(ctx, s, res)
			return f, err
		})
	}
}

// sustain makes the rate of a load what was accepted and persisted, whichever is
// less.
func (w *watcher) sustain(f *Figures) {
	took := w.end.Seconds - w.begin.Seconds
	accepted, persisted := float64(w.end.Acked-w.begin.Acked)/took, float64(w.end.Persisted-w.begin.Persisted)/took
	f.Values[PerSecond] = min(accepted, persisted)
	f.Values["accepted_per_second"], f.Values["persisted_per_second"] = accepted, persisted
	f.Values["log_begin"], f.Values["log_end"] = float64(w.begin.Log), float64(w.end.Log)
}

// settled waits for the worker and compares both stores with what was
// acknowledged.
func (l *Lab) settled(ctx context.Context, s *stage.Stage, res load.Result) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, stageTime)
	defer cancel()
	stored, err := s.Stored(ctx)
	if err != nil {
		return "", err
	}
	told, err := same("Redis", stored, res)
	if err != nil {
		return told, err
	}
	if err := s.Drained(ctx, stored); err != nil {
		return told, err
	}
	rows, err := s.Rows(ctx)
	if err == nil && rows != stored {
		err = fmt.Errorf("%w: Redis holds %d likes, the ledger %d", ErrWrong, stored, rows)
	}
	return told + fmt.Sprintf("; ledger: %d rows", rows), err
}

// drain is the worker alone: a log of likes that came one by one, moved into the
// ledger. The time counts from the first commit that was seen.
func drain(ctx context.Context, l *Lab) (Figures, error) {
	return l.onAPI(ctx, "everysec", nil, func(s *stage.Stage, api *stage.Process) (f Figures, err error) {
		res, err := l.fill(ctx, s, api, uint64(50_000*l.Seconds), func(p *load.Plan) { p.Kind, p.Ops, p.Conns = load.Put, 1, l.Conns })
		if err != nil {
			return f, err
		}
		if err := s.Stop(api); err != nil {
			return f, err
		}
		if _, err = s.Plusone(ctx, "worker"); err != nil {
			return f, err
		}
		f, err = l.watchDrain(ctx, s, res)
		if err != nil {
			return f, err
		}
		f.Counted, err = l.settled(ctx, s, res)
		return f, err
	})
}

func (l *Lab) watchDrain(ctx context.Context, s *stage.Stage, res load.Result) (f Figures, err error) {
	ctx, cancel := context.WithTimeout(ctx, stageTime+l.time())
	defer cancel()
	ticks := time.NewTicker(10 * time.Millisecond)
	defer ticks.Stop()
	var first, n uint64
	var from time.Time
	var before map[string]time.Duration
	for {
		if n, err = s.Persisted(ctx); err != nil {
			return f, err
		}
		if n > 0 && first == 0 {
			first, from, before = n, time.Now(), s.CPU()
		}
		if n >= res.Acked {
			break
		}
		select {
		case <-ctx.Done():
			return f, fmt.Errorf("%d of %d were drained: %w", n, res.Acked, ctx.Err())
		case <-ticks.C:
		}
	}
	if n == first {
		return f, fmt.Errorf("all %d likes were drained before one could look", n)
	}
	used := s.CPU()
	for name := range used {
		used[name] -= before[name]
	}
	return tell(load.Result{Ops: n - first, Took: time.Since(from)}, used), nil
}

// after is a function that tells whether d is over.
func after(d time.Duration) func() bool {
	end := time.Now().Add(d)
	return func() bool { return !time.Now().Before(end) }
}
