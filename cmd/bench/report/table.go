package report

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"

	"plusone/cmd/bench/pieces"
)

// WriteTable tells the run on a terminal.
func (r *Run) WriteTable(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(cells ...string) { _, _ = fmt.Fprintln(w, strings.Join(cells, "\t")) }
	if len(r.Pieces) > 0 {
		line("piece", "per second", "p50 ms", "p99 ms", "CPU µs/op", "of these")
	}
	for i := range r.Pieces {
		line(r.Pieces[i].cells()...)
	}
	if len(r.Goals) > 0 {
		line()
		line("goal", "figure", "ratio", "min–max", "by CPU", "reach", "stretch", "met")
	}
	for _, g := range r.Goals {
		line(g.Cells()...)
	}
	if err := w.Flush(); err != nil { // also what the lines above could not write
		return err
	}
	for _, c := range r.Scaling {
		if _, err := fmt.Fprintln(out, Tell(c)); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(out, "\n%s\n", r.About())
	return err
}

func (p *Piece) cells() []string {
	if p.Error != "" {
		return []string{p.Name, p.Error}
	}
	return []string{
		p.Name, Number(p.Median(pieces.PerSecond)), Number(p.Millis(pieces.P50)), Number(p.Millis(pieces.P99)), Number(p.Median(pieces.CPUAll)),
		p.split(),
	}
}

// split tells whose the CPU time is.
func (p *Piece) split() string {
	var all []string
	for _, who := range p.Processes() {
		all = append(all, who+" "+Number(p.Median(pieces.CPUOf+who)))
	}
	return strings.Join(all, ", ")
}

// Processes are the names of the processes whose CPU time is known.
func (p *Piece) Processes() (names []string) {
	if len(p.Rounds) == 0 {
		return nil
	}
	for figure := range p.Rounds[0].Values {
		if who, ok := strings.CutPrefix(figure, pieces.CPUOf); ok {
			names = append(names, who)
		}
	}
	slices.Sort(names)
	return names
}

// Cells is a goal as a line of a table.
func (g *Goal) Cells() []string {
	if g.Failed != "" {
		return []string{g.Name, g.Failed}
	}
	byCPU := ""
	if g.ByCPU > 0 {
		byCPU = Number(g.ByCPU)
	}
	return []string{
		g.Name, Number(g.Value) + " " + g.Unit, Number(g.Ratio.Median), Number(g.Ratio.Min) + "–" + Number(g.Ratio.Max), byCPU,
		Number(g.Reach), Number(g.Stretch), g.Verdict(),
	}
}

// Verdict says how far a goal is reached.
func (g *Goal) Verdict() string {
	switch {
	case g.Met(g.Ratio.Median, g.Stretch):
		return "stretch"
	case g.Met(g.Ratio.Median, g.Reach):
		return "reach"
	}
	return "no"
}

// About says what was measured with which settings.
func (r *Run) About() string {
	return fmt.Sprintf(`%d rounds of %g s a piece, %d connections, log-uniform over %d items, users distinct; medians, ratios within a round.
plusone api and worker run at their defaults: identity by X-User-ID, metrics and receipts on, rate limits off (their default).
Postgres for all: %s; Redis: appendonly yes.
By CPU: the ratio of the CPU time of all processes per op, which hardly depends on who else uses the machine.
%s, commit %s.`,
		r.Rounds, r.Settings.Seconds, r.Settings.Conns, r.Settings.Items, strings.Join(pieces.PostgresSettings(), ", "), r.Machine, r.Commit)
}

// Number writes a figure with three digits that matter.
func Number(v float64) string {
	switch abs := math.Abs(v); {
	case v == 0:
		return "0"
	case abs >= 1e6:
		return fmt.Sprintf("%.2f M", v/1e6)
	case abs >= 1e4:
		return fmt.Sprintf("%.1f k", v/1e3)
	case abs >= 100:
		return fmt.Sprintf("%.0f", v)
	case abs >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}
