package pieces

import (
	"context"
	"errors"
	"fmt"
	"time"

	"plusone/cmd/bench/load"
	"plusone/cmd/bench/stage"
)

// watcher samples a stage while a load runs on it.
type watcher struct {
	stage *stage.Stage
	api   *stage.Process // nil: no memory of it
	bound uint64         // likes that may be acknowledged and not persisted; 0: as many as there are

	persisted func(context.Context) (uint64, error) // nil: nobody asks

	every time.Duration
	all   []Sample

	begin, end Sample // at both ends of the measured time
}

// drive puts a load on a stage and samples it until it is over.
func drive(ctx context.Context, w *watcher, p load.Plan) (load.Result, Figures, error) {
	d, err := w.stage.Drive(p)
	if err != nil {
		return load.Result{}, Figures{}, err
	}
	watched := make(chan error, 1) // one value, from the goroutine below
	go func() { watched <- w.run(ctx, d) }()
	res, used, err := d.Wait(ctx)
	if err := errors.Join(err, <-watched); err != nil {
		return res, Figures{}, err
	}
	if res.Acked < res.Refused+res.Unknown || res.Ops == 0 {
		return res, Figures{}, fmt.Errorf("most was refused: %v, %d unknown", res.Codes, res.Unknown)
	}
	f := tell(res, used)
	f.Samples = w.all
	if n := len(w.all); n > 0 {
		f.Values[RSSMiB] = float64(w.all[n-1].API) / (1 << 20)
	}
	return res, f, nil
}

func (w *watcher) run(ctx context.Context, d *stage.Drive) error {
	ticks := time.NewTicker(w.every)
	defer ticks.Stop()
	start := time.Now()
	held, begin, end := false, d.Begin, d.End
	for {
		at := new(Sample)
		select {
		case <-begin:
			begin, at = nil, &w.begin
		case <-end:
			end, at = nil, &w.end
		case <-ticks.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		s, err := w.sample(ctx, d, start)
		if err != nil {
			return err
		}
		*at = s
		w.all = append(w.all, s)
		if end == nil {
			<-d.Done
			return nil
		}
		if w.bound == 0 {
			continue
		}
		if hold := s.Acked > s.Persisted+w.bound; hold != held {
			held = hold
			if err := d.Hold(held); err != nil {
				return err
			}
		}
	}
}

func (w *watcher) sample(ctx context.Context, d *stage.Drive, start time.Time) (s Sample, err error) {
	s.Acked = d.Now().Acked
	s.Seconds = time.Since(start).Seconds()
	if w.api != nil {
		s.API = stage.RSS(w.api.Pid())
	}
	if w.stage.Redis != nil {
		s.Redis = stage.RSS(w.stage.Redis.Pid())
		if s.Log, err = w.stage.LogLength(ctx); err != nil {
			return s, err
		}
	}
	if w.persisted != nil {
		s.Persisted, err = w.persisted(ctx)
	}
	return s, err
}

// same is nil when as much is stored as a load was promised, and what it knows
// nothing of.
func same(what string, stored uint64, r load.Result) (string, error) {
	told := fmt.Sprintf("%s: %d acknowledged, %d refused, %d unknown, %d stored", what, r.Acked, r.Refused, r.Unknown, stored)
	if stored < r.Acked || stored > r.Acked+r.Unknown {
		return told, fmt.Errorf("%w: %s", ErrWrong, told)
	}
	return told, nil
}
