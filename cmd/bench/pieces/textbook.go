package pieces

import (
	"context"
	"errors"
	"fmt"
	"time"

	"plusone/cmd/bench/baseline"
	"plusone/cmd/bench/load"
	"plusone/cmd/bench/stage"
)

// eval is a baseline on Redis alone.
func eval(name string) func(context.Context, *Lab) (Figures, error) {
	return func(ctx context.Context, l *Lab) (f Figures, err error) {
		s, err := l.Hall.New(ctx, stage.Needs{Redis: "everysec"})
		if err != nil {
			return f, err
		}
		defer func() { err = errors.Join(err, s.Close()) }()
		p, err := s.Baseline(ctx, name)
		if err != nil {
			return f, err
		}
		res, f, err := drive(ctx, &watcher{stage: s, every: sampling}, l.plan(p.Addr, load.Put))
		if err != nil {
			return f, err
		}
		f.Counted, err = counted(ctx, s, res)
		return f, err
	}
}

// counted compares the sets and counts of a baseline with what was acknowledged.
func counted(ctx context.Context, s *stage.Stage, res load.Result) (string, error) {
	stored, err := s.StoredIn(ctx, baseline.LikersPrefix, baseline.CountsKey)
	if err != nil {
		return "", err
	}
	return same("Redis", stored, res)
}

// alone is a baseline on Postgres alone: what it accepts is persisted.
func alone(name string) func(context.Context, *Lab) (Figures, error) {
	return func(ctx context.Context, l *Lab) (f Figures, err error) {
		s, err := l.Hall.New(ctx, stage.Needs{Postgres: true})
		if err != nil {
			return f, err
		}
		defer func() { err = errors.Join(err, s.Close()) }()
		p, err := s.Baseline(ctx, name)
		if err != nil {
			return f, err
		}
		res, f, err := drive(ctx, &watcher{stage: s, every: sampling}, l.plan(p.Addr, load.Put))
		if err != nil {
			return f, err
		}
		stored, err := baseCounted(ctx, s, baseline.CountedSQL)
		if err != nil {
			return f, err
		}
		f.Counted, err = same("Postgres", stored, res)
		return f, err
	}
}

// baseCounted is the likes in a baseline's tables; the counts must be their sum.
func baseCounted(ctx context.Context, s *stage.Stage, sql string) (rows uint64, err error) {
	var sum uint64
	err = s.Pool.QueryRow(ctx, sql).Scan(&rows, &sum)
	if err == nil && rows != sum {
		err = fmt.Errorf("%w: %d likes are stored, the counts say %d", ErrWrong, rows, sum)
	}
	return rows, err
}

// evalAsynq is one EVALSHA and one task a like, with its worker running. bound is
// how many likes may wait for the worker; 0: any number.
func evalAsynq(bound uint64) func(context.Context, *Lab) (Figures, error) {
	return func(ctx context.Context, l *Lab) (f Figures, err error) {
		s, err := l.Hall.New(ctx, stage.Needs{Redis: "everysec", Postgres: true})
		if err != nil {
			return f, err
		}
		defer func() { err = errors.Join(err, s.Close()) }()
		if _, err := s.Baseline(ctx, "asynq-worker"); err != nil {
			return f, err
		}
		p, err := s.Baseline(ctx, "eval-asynq")
		if err != nil {
			return f, err
		}
		persisted := func(ctx context.Context) (n uint64, err error) {
			return n, s.Pool.QueryRow(ctx, `SELECT coalesce(sum(count), 0)::bigint FROM base_counts`).Scan(&n)
		}
		w := &watcher{stage: s, every: quickly, bound: bound, persisted: persisted}
		res, f, err := drive(ctx, w, l.plan(p.Addr, load.Put))
		if err != nil {
			return f, err
		}
		w.sustain(&f)
		if f.Counted, err = counted(ctx, s, res); err != nil {
			return f, err
		}
		// Of what waits for the worker nothing is awaited: that may take minutes.
		stored, err := baseCounted(ctx, s, baseline.CountedSQL)
		if err == nil && stored > res.Acked+res.Unknown {
			err = fmt.Errorf("%w: %d likes are persisted", ErrWrong, stored)
		}
		f.Counted += fmt.Sprintf("; Postgres: %d stored, the rest waits", stored)
		return f, err
	}
}

// raw runs a limit of a store in this process.
func (l *Lab) raw(ctx context.Context, n stage.Needs, run func(*stage.Stage) (uint64, error), stored func(*stage.Stage) (uint64, error)) (f Figures, err error) {
	s, err := l.Hall.New(ctx, n)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	before, cpu, mine := s.CPU(), mainThread(s), load.CPU()
	start := time.Now()
	likes, err := run(s)
	took := time.Since(start)
	if err != nil {
		return f, err
	}
	if likes == 0 {
		return f, errors.New("nothing was written")
	}
	used, main := s.CPU(), mainThread(s)-cpu
	used["load"] = load.CPU() - mine
	for name := range before {
		used[name] -= before[name]
	}
	f = tell(load.Result{Ops: likes, Took: took}, used)
	f.Values[MainThread] = micros(main) / float64(likes)
	there, err := stored(s)
	if err != nil {
		return f, err
	}
	f.Counted, err = same("stored", there, load.Result{Acked: likes})
	return f, err
}

func mainThread(s *stage.Stage) time.Duration {
	if s.Redis == nil {
		return 0
	}
	return stage.MainThreadCPU(s.Redis.Pid())
}
