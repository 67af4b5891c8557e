package console

import (
	"context"
	"net/http"
	"time"

	"plusone/tasks/ledger"
)

// overview is what is looked at first.
type overview struct {
	Checks   []Check
	Worst    string
	Troubles *ledger.Troubles // nil: Postgres does not answer
	Plots    []shownPlot
}

// shownPlot is a plot of which this process has something to tell, or not.
type shownPlot struct {
	plot
	Missing string
}

// troubleGrace is for how long something may be due before it is a trouble.
const troubleGrace = time.Minute

func (c *Console) overview(ctx context.Context, _ *http.Request) (any, error) {
	v := overview{Checks: c.opt.Checks(ctx), Worst: Fine}
	for _, k := range v.Checks {
		if k.State == Failed || k.State == Degraded && v.Worst == Fine {
			v.Worst = k.State
		}
	}
	if t, err := c.opt.Ledger.Troubles(ctx, troubleGrace); err == nil {
		v.Troubles = &t
	}
	f := gather(c.opt.Metrics)
	for _, p := range plots {
		s := shownPlot{plot: p}
		if p.Needs != "" && !f.has(p.Needs) {
			s.Missing = p.Elsewhere
		}
		v.Plots = append(v.Plots, s)
	}
	return v, nil
}
