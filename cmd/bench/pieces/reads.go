package pieces

import (
	"context"
	"time"

	"plusone/cmd/bench/load"
	"plusone/cmd/bench/stage"
)

// reads is a load that reads what was liked before. Each item is answered for.
func reads(kind load.Kind, items int, change func(*load.Plan)) func(context.Context, *Lab) (Figures, error) {
	return func(ctx context.Context, l *Lab) (Figures, error) {
		return l.onAPI(ctx, "everysec", nil, func(s *stage.Stage, api *stage.Process) (f Figures, err error) {
			res, err := l.fill(ctx, s, api, 20_000, func(p *load.Plan) { p.Spread = load.Uniform; change(p) })
			if err != nil {
				return f, err
			}
			plan := l.plan(api.Addr, kind)
			plan.Ops, plan.Spread = items, load.Uniform
			change(&plan)
			_, f, err = drive(ctx, &watcher{stage: s, api: api, every: sampling}, plan)
			if err != nil {
				return f, err
			}
			stored, err := s.Stored(ctx)
			if err != nil {
				return f, err
			}
			f.Counted, err = same("Redis", stored, res)
			return f, err
		})
	}
}

// inBulk makes a load of likes one of many likes a request.
func inBulk(ops int) func(*load.Plan) {
	return func(p *load.Plan) { p.Kind, p.Ops, p.Conns = load.Bulk, ops, 16 }
}

// fill likes until so many likes are stored, as fast as it goes.
func (l *Lab) fill(ctx context.Context, s *stage.Stage, api *stage.Process, likes uint64, change func(*load.Plan)) (load.Result, error) {
	plan := l.plan(api.Addr, load.Bulk)
	plan.Ops, plan.Conns, plan.Warm, plan.For, plan.Most = 1000, 8, 0, 10*time.Minute, likes
	change(&plan)
	plan.Seed++
	d, err := s.Drive(plan)
	if err != nil {
		return load.Result{}, err
	}
	res, _, err := d.Wait(ctx)
	return res, err
}

// full is the load of put on a store that holds many likes.
func full(ctx context.Context, l *Lab) (Figures, error) {
	return l.onAPI(ctx, "everysec", []string{"--resident-max-bytes", "8589934592"}, func(s *stage.Stage, api *stage.Process) (f Figures, err error) {
		before, err := l.fill(ctx, s, api, l.Most, func(p *load.Plan) { p.FirstUser = 1e10 })
		if err != nil {
			return f, err
		}
		res, f, err := drive(ctx, &watcher{stage: s, api: api, every: sampling}, l.plan(api.Addr, load.Put))
		if err != nil {
			return f, err
		}
		stored, err := s.Stored(ctx)
		if err != nil {
			return f, err
		}
		res.Acked += before.Acked
		res.Unknown += before.Unknown
		f.Counted, err = same("Redis", stored, res)
		return f, err
	})
}
