package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"plusone/cmd/bench/pieces"
	"plusone/cmd/bench/report"
	"plusone/cmd/bench/stage"
)

type runCmd struct {
	Plusone string   `help:"The program to measure." default:"bin/plusone" type:"path" placeholder:"FILE"`
	Quick   bool     `help:"One short round of everything, within a minute: whether it works, not how fast."`
	Only    []string `help:"Goals by a part of their name, or pieces by their name, instead of all." placeholder:"ROW"`
	Rounds  int      `help:"Times that each piece is measured." default:"3"`
	Seconds float64  `help:"Time of each measurement." default:"4"`
	Conns   int      `help:"Connections of the load." default:"256"`
	Items   int      `help:"Items that likes are spread over." default:"1000"`
	Out     string   `help:"Directory for report.json and report.html (default .plusone/bench/<time>)." type:"path" placeholder:"DIR"`
	Scaling bool     `help:"Measure what a like costs as work grows, instead."`
	List    bool     `help:"Name the goals and pieces, and end."`
}

// Run measures and tells.
func (c runCmd) Run(ctx context.Context, out io.Writer) (err error) {
	if c.Quick {
		c.Rounds, c.Seconds = 1, min(c.Seconds, 0.6)
	}
	if c.List {
		return list(out)
	}
	chosen, goals := choose(c.Only)
	if len(chosen) == 0 {
		return fmt.Errorf("nothing is called %s; --list names all", strings.Join(c.Only, " or "))
	}
	if c.Out == "" {
		c.Out = filepath.Join(".plusone", "bench", time.Now().UTC().Format("20060102-150405"))
	}
	if err := os.MkdirAll(c.Out, 0o755); err != nil {
		return err
	}
	stores, err := os.MkdirTemp(c.Out, "stores-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(stores)) }()
	hall, err := stage.NewHall(ctx, stores, c.Plusone)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, hall.Close()) }()
	return c.measure(ctx, out, hall, chosen, goals)
}

func (c runCmd) settings() pieces.Settings {
	s := pieces.Settings{Seconds: c.Seconds, Conns: c.Conns, Items: c.Items, Most: 10_000_000, Seed: 1}
	if c.Quick {
		s.Most = 100_000
	}
	return s
}

// measure runs what was asked for and tells what came of it.
func (c runCmd) measure(ctx context.Context, out io.Writer, hall *stage.Hall, chosen []*pieces.Piece, goals []pieces.Goal) error {
	lab := pieces.NewLab(hall, c.settings())
	r := &report.Run{Started: time.Now().UTC(), Machine: machine(), Commit: commit(), Settings: lab.Settings, Rounds: c.Rounds}
	if c.Scaling {
		err := lab.Scaling(ctx, func(curve pieces.Curve) {
			r.Scaling = append(r.Scaling, curve)
			_, _ = fmt.Fprintln(out, time.Now().UTC().Format("15:04:05"), report.Tell(curve))
		})
		return errors.Join(err, c.write(out, r))
	}
	if err := c.rounds(ctx, out, lab, chosen, r); err != nil {
		return err
	}
	r.Judge(goals)
	err := c.write(out, r)
	switch {
	case err != nil:
		return err
	case r.Wrong():
		return fmt.Errorf("%w: what is stored is not what was acknowledged", pieces.ErrWrong)
	case r.Failed():
		return errors.New("not everything could be measured")
	}
	return nil
}

// rounds measures each piece so many times, in rotation.
func (c runCmd) rounds(ctx context.Context, out io.Writer, lab *pieces.Lab, chosen []*pieces.Piece, r *report.Run) error {
	for round := range c.Rounds {
		for _, p := range chosen {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if p.Long && round > 0 || p.Full && c.Quick {
				continue
			}
			f, err := lab.Run(ctx, p)
			r.Add(p, f, err)
			told := f.Counted
			if err != nil {
				told = err.Error()
			}
			_, _ = fmt.Fprintf(out, "%s round %d, %s: %s/s; %s\n", time.Now().UTC().Format("15:04:05"), round+1, p.Name,
				report.Number(f.Values[pieces.PerSecond]), told)
		}
	}
	return nil
}

// write tells what has been measured.
func (c runCmd) write(out io.Writer, r *report.Run) error {
	r.Took = time.Since(r.Started).Seconds()
	_, _ = fmt.Fprintln(out)
	return errors.Join(r.WriteTable(out), r.WriteJSON(filepath.Join(c.Out, "report.json")), r.WritePage(filepath.Join(c.Out, "report.html")))
}

// choose is the pieces that were asked for, in order, and the goals that they
// allow to judge; everything when nothing was asked for.
func choose(only []string) (chosen []*pieces.Piece, goals []pieces.Goal) {
	wanted := map[string]bool{}
	for _, g := range pieces.Goals {
		if len(only) == 0 || slices.ContainsFunc(only, func(o string) bool { return strings.Contains(g.Name, o) || o == g.Of }) {
			goals = append(goals, g)
			for _, name := range g.Needs() {
				wanted[name] = true
			}
		}
	}
	for _, p := range pieces.All { // what another one needs
		if p.After != "" && (wanted[p.Name] || slices.Contains(only, p.Name)) {
			wanted[p.After] = true
		}
	}
	for i := range pieces.All {
		p := &pieces.All[i]
		if len(only) == 0 || wanted[p.Name] || slices.Contains(only, p.Name) {
			chosen = append(chosen, p)
		}
	}
	return chosen, goals
}

func list(out io.Writer) error {
	var b strings.Builder
	for _, g := range pieces.Goals {
		fmt.Fprintf(&b, "goal   %s: %s\n", g.Name, strings.Join(g.Needs(), ", "))
	}
	for _, p := range pieces.All {
		fmt.Fprintf(&b, "piece  %s: %s\n", p.Name, p.What)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func machine() string {
	return fmt.Sprintf("%d CPUs, %s/%s, %s", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version())
}

// commit is what this program was built of.
func commit() string {
	info, _ := debug.ReadBuildInfo()
	rev, dirty := "unknown", ""
	if info == nil {
		return rev
	}
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			rev = s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = ", changed since"
		}
	}
	return rev + dirty
}
