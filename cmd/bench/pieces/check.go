package pieces

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"time"

	"plusone/cmd/bench/load"
	"plusone/cmd/bench/stage"
	"plusone/reconcile"
)

// reconciled is one pass over stores that agree: anything found is wrong.
func reconciled(ctx context.Context, l *Lab) (Figures, error) {
	return l.onAPI(ctx, "everysec", nil, func(s *stage.Stage, api *stage.Process) (f Figures, err error) {
		res, err := l.fill(ctx, s, api, uint64(100_000*l.Seconds), asItIs)
		if err != nil {
			return f, err
		}
		if _, err := s.Plusone(ctx, "worker"); err != nil {
			return f, err
		}
		if f.Counted, err = l.settled(ctx, s, res); err != nil {
			return f, err
		}
		before := s.CPU()
		said, err := s.Once(ctx, "reconcile", "--once", "--json")
		if err != nil {
			return f, err
		}
		var r reconcile.Report
		if err := json.Unmarshal(said.Out, &r); err != nil {
			return f, err
		}
		if len(r.Drifts) > 0 || len(r.Skipped) > 0 || r.Pairs < int64(res.Acked) {
			return f, fmt.Errorf("%w: of %d likes %d were compared, %d shards skipped, found: %v", ErrWrong, res.Acked, r.Pairs, len(r.Skipped), r.Drifts)
		}
		used := s.CPU()
		for name := range used {
			used[name] -= before[name]
		}
		used["reconcile"] = said.CPU
		counted := f.Counted
		f = tell(load.Result{Ops: uint64(r.Pairs), Took: r.Took}, used)
		f.Counted = counted + fmt.Sprintf("; %d pairs compared, no drift", r.Pairs)
		return f, nil
	})
}

// checked is a load of likes with a worker; watched by a reconciler that never
// rests and a janitor that believes memory to be short, or not.
func checked(watched bool) func(context.Context, *Lab) (Figures, error) {
	return func(ctx context.Context, l *Lab) (Figures, error) {
		return l.onAPI(ctx, "everysec", nil, func(s *stage.Stage, api *stage.Process) (f Figures, err error) {
			if _, err := s.Plusone(ctx, "worker"); err != nil {
				return f, err
			}
			// Items that are left alone from now on are what a janitor evicts.
			idle := l.Most / 500
			before, err := l.fill(ctx, s, api, 4*idle, func(p *load.Plan) { p.Items, p.Spread, p.FirstUser = int(idle), load.Uniform, 1e10 })
			if err != nil {
				return f, err
			}
			if _, err := l.settled(ctx, s, before); err != nil {
				return f, err
			}
			if watched {
				_, err := s.Plusone(ctx, "reconcile", "--reconcile-every=1s", "--reconcile-full=2s", "--resident-max-bytes=10000000")
				if err != nil {
					return f, err
				}
			}
			res, f, err := drive(ctx, &watcher{stage: s, api: api, every: sampling}, l.plan(api.Addr, load.Put))
			if err != nil {
				return f, err
			}
			f.Counted, err = l.inLedger(ctx, s, before, res)
			return f, err
		})
	}
}

// inLedger waits until the ledger has what two loads were promised: Redis need not
// hold it any more.
func (l *Lab) inLedger(ctx context.Context, s *stage.Stage, before, res load.Result) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, stageTime)
	defer cancel()
	res.Acked += before.Acked
	res.Unknown += before.Unknown
	if err := s.Drained(ctx, res.Acked); err != nil {
		return "", err
	}
	rows, err := s.Rows(ctx)
	if err != nil {
		return "", err
	}
	told, err := same("ledger", rows, res)
	if err != nil {
		return told, err
	}
	var repairs int
	err = s.Pool.QueryRow(ctx, `SELECT count(*) FROM repairs`).Scan(&repairs)
	if err == nil && repairs > 0 {
		err = fmt.Errorf("%w: %d repairs without damage", ErrWrong, repairs)
	}
	return told, err
}

var allocsLine = regexp.MustCompile(`BenchmarkHandler/put(?:-\d+)?\s.*\s(\d+) allocs/op`)

// allocs runs the API's own benchmark, in the source tree that this was started in.
func allocs(ctx context.Context, _ *Lab) (f Figures, err error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^BenchmarkHandler$/^put$", "-benchmem", "-benchtime", "20000x", "./hotpath/api")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return f, fmt.Errorf("go test ./hotpath/api: %w: %s", err, errs.Bytes())
	}
	m := allocsLine.FindSubmatch(out)
	if m == nil {
		return f, fmt.Errorf("no allocations in: %s", out)
	}
	n, err := strconv.ParseFloat(string(m[1]), 64)
	f.Values, f.Counted = map[string]float64{"allocs": n}, "nothing is stored"
	return f, err
}
