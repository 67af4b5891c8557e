package console

import (
	"context"
	"net/http"
	"time"

	"plusone/cmd/internal/doctor"
	"plusone/cmd/internal/settings"
)

// group is some settings that belong together.
type group struct {
	Title    string
	Settings []settings.Setting
}

// settingsView is what this process was started with.
type settingsView struct {
	Groups  []group
	Set     int // that somebody has set
	OnlySet bool
}

func (c *Console) settings(_ context.Context, r *http.Request) (any, error) {
	v := settingsView{OnlySet: r.FormValue("only") == "set"}
	for _, s := range c.opt.Settings {
		if s.Source != settings.FromDefault {
			v.Set++
		} else if v.OnlySet {
			continue
		}
		title := s.Group
		if title == "" {
			title = "General"
		}
		if n := len(v.Groups); n == 0 || v.Groups[n-1].Title != title {
			v.Groups = append(v.Groups, group{Title: title})
		}
		g := &v.Groups[len(v.Groups)-1]
		g.Settings = append(g.Settings, s)
	}
	return v, nil
}

// doctorView is what the doctor has found, what is worst first; nil before it was
// asked.
type doctorView struct {
	Report *doctor.Report
	Sorted []doctor.Finding
}

func (c *Console) doctor(context.Context, *http.Request) (any, error) { return doctorView{}, nil }

// findings has the doctor look. That takes connections of its own, so it is done for
// one at a time; who has to wait longer than an examination may take is told so.
func (c *Console) findings(ctx context.Context, _ *http.Request) (any, error) {
	select {
	case c.exam <- struct{}{}:
		defer func() { <-c.exam }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	report, err := c.opt.Examine(ctx)
	if err != nil {
		return nil, err
	}
	v := doctorView{Report: &report}
	for _, level := range []doctor.Level{doctor.Wrong, doctor.Warning, doctor.OK} {
		for _, f := range report.Findings {
			if f.Level == level {
				v.Sorted = append(v.Sorted, f)
			}
		}
	}
	return v, nil
}

// examTime bounds an examination.
const examTime = time.Minute
