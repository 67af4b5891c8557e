package pieces

import (
	"context"
	"errors"
	"time"

	"plusone/cmd/bench/load"
	"plusone/cmd/bench/stage"
)

// sampling is the time between two samples of a piece that only looks.
const sampling = 200 * time.Millisecond

// bare is the limit of HTTP: a load on the server that answers a constant.
func bare(change func(*load.Plan)) func(context.Context, *Lab) (Figures, error) {
	return func(ctx context.Context, l *Lab) (f Figures, err error) {
		s, err := l.Hall.New(ctx, stage.Needs{})
		if err != nil {
			return f, err
		}
		defer func() { err = errors.Join(err, s.Close()) }()
		p, err := s.Baseline(ctx, "bare")
		if err != nil {
			return f, err
		}
		plan := l.plan(p.Addr, load.Put)
		change(&plan)
		_, f, err = drive(ctx, &watcher{stage: s, api: p, every: sampling}, plan)
		f.Counted = "nothing is stored"
		return f, err
	}
}

func asItIs(*load.Plan) {}

// likes is plusone's API alone, no drain running, with a load that likes.
func likes(fsync string, change func(*load.Plan), args ...string) func(context.Context, *Lab) (Figures, error) {
	return func(ctx context.Context, l *Lab) (Figures, error) {
		return l.onAPI(ctx, fsync, args, func(s *stage.Stage, api *stage.Process) (Figures, error) {
			plan := l.plan(api.Addr, load.Put)
			change(&plan)
			return l.like(ctx, &watcher{stage: s, api: api, every: sampling}, plan)
		})
	}
}

// onAPI opens a stage with both stores and an API, for do.
func (l *Lab) onAPI(ctx context.Context, fsync string, args []string, do func(*stage.Stage, *stage.Process) (Figures, error)) (f Figures, err error) {
	return l.on(ctx, stage.Needs{Redis: fsync, Postgres: true}, func(s *stage.Stage) (Figures, error) {
		api, err := s.Plusone(ctx, "api", args...)
		if err != nil {
			return Figures{}, err
		}
		return do(s, api)
	})
}

// on opens a stage for do.
func (l *Lab) on(ctx context.Context, needs stage.Needs, do func(*stage.Stage) (Figures, error)) (f Figures, err error) {
	s, err := l.Hall.New(ctx, needs)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return do(s)
}

// like puts a load of likes on an API and counts what Redis holds.
func (l *Lab) like(ctx context.Context, w *watcher, plan load.Plan) (Figures, error) {
	res, f, err := drive(ctx, w, plan)
	if err != nil {
		return f, err
	}
	stored, err := w.stage.Stored(ctx)
	if err != nil {
		return f, err
	}
	f.Counted, err = same("Redis", stored, res)
	return f, err
}
