package report

import (
	"fmt"
	"math"

	plots "plusone/cmd/internal/plot"
)

// The plot's size in units of its viewBox. Panels lie below each other, with
// the faults marked through all of them.
const (
	plotWidth   = 1200.0
	plotLeft    = 56.0
	plotTop     = 30.0
	panelHeight = 150.0
	panelGap    = 34.0
	maxColumns  = 1100 // points of a line; more buckets are folded
)

// plot is what the template draws.
type plot struct {
	Width, Height float64
	Left, Right   float64
	Tall          float64 // of a panel
	Panels        []panel
	Marks         []mark
	Ticks         []tick
}

type panel struct {
	Title       string
	Top, Bottom float64
	Most        string // the value at its top
	Lines       []line
}

type line struct {
	Name, Class string
	Points      string // of a path
}

type mark struct {
	N                   int
	X, Width, Mid, Full float64 // from begin to end, and where full speed is back; Full is -1 when it is not
	Title               string
}

type tick struct {
	X    float64
	Text string
}

// series is a value for each bucket; NaN is a hole.
type series struct {
	name, class string
	of          func(Bucket) float64
	fold        func(a, b float64) float64
}

func perSecond(n int) float64 { return float64(n) / Step.Seconds() }

var panels = []struct {
	title string
	lines []series
}{
	{"answers per second", []series{
		{"ops acknowledged", "acked", func(b Bucket) float64 { return perSecond(b.Acked) }, mean},
		{"readings", "read", func(b Bucket) float64 { return perSecond(b.Read) }, mean},
	}},
	{"failures per second", []series{
		{"refused, nothing applied", "refused", func(b Bucket) float64 { return perSecond(b.refused()) }, math.Max},
		{"outcome unknown", "unknown", func(b Bucket) float64 { return perSecond(b.Unknown) }, math.Max},
	}},
	{"entries in the logs", []series{
		{"waiting for Postgres", "log", func(b Bucket) float64 {
			if b.Log < 0 {
				return math.NaN()
			}
			return float64(b.Log)
		}, math.Max},
	}},
}

func mean(a, b float64) float64 { return (a + b) / 2 }

func (b Bucket) refused() (n int) {
	for _, v := range b.Refused {
		n += v
	}
	return n
}

func (r *Run) plot() plot {
	p := plot{Width: plotWidth, Tall: panelHeight, Left: plotLeft, Right: plotWidth - 16}
	span := max(r.Seconds, 1)
	x := func(s float64) float64 { return plotLeft + min(s, span)/span*(p.Right-plotLeft) }
	top := plotTop
	for _, spec := range panels {
		p.Panels = append(p.Panels, r.panel(spec.title, spec.lines, top, x))
		top += panelHeight + panelGap
	}
	p.Height = top
	for i, f := range r.Faults {
		m := mark{N: i + 1, X: x(f.Begin), Width: max(2, x(f.End)-x(f.Begin)), Full: -1}
		from := f.End
		if f.From == FromBegin {
			from = f.Begin
		}
		m.Mid = m.X + m.Width/2
		told := "full speed was not back"
		if f.Recovered != nil {
			m.Full = x(from + *f.Recovered)
			told = "full speed after " + seconds(*f.Recovered)
		}
		m.Title = fmt.Sprintf("%d. %s: %s, %s to %s, longest gap %s, %s", m.N, f.Kind, f.Target,
			seconds(f.Begin), seconds(f.End), seconds(f.Gap), told)
		p.Marks = append(p.Marks, m)
	}
	step := tickStep(span)
	for s := 0.0; s <= span; s += step {
		p.Ticks = append(p.Ticks, tick{x(s), fmt.Sprintf("%.0f s", s)})
	}
	return p
}

// tickStep is a round number of seconds that makes about twelve ticks.
func tickStep(span float64) float64 {
	for _, s := range []float64{5, 10, 15, 30, 60, 120, 300} {
		if span/s <= 13 {
			return s
		}
	}
	return 600
}

func (r *Run) panel(title string, lines []series, top float64, x func(float64) float64) panel {
	p := panel{Title: title, Top: top, Bottom: top + panelHeight}
	folded := make([][]float64, len(lines))
	most, each := 1.0, 1
	for i, l := range lines {
		folded[i], each = r.folded(l)
		for _, v := range folded[i] {
			if v > most { // never for a hole
				most = v
			}
		}
	}
	most = plots.RoundUp(most)
	p.Most = fmt.Sprintf("%.0f", most)
	for i, l := range lines {
		p.Lines = append(p.Lines, line{l.name, l.class, plots.Path(folded[i], func(j int, v float64) (float64, float64) {
			return x((float64(j) + 0.5) * float64(each) * Step.Seconds()), p.Bottom - v/most*panelHeight
		})})
	}
	return p
}

// folded is a series with at most maxColumns values, each of so many buckets.
func (r *Run) folded(s series) (values []float64, each int) {
	each = len(r.Buckets)/maxColumns + 1
	for i, b := range r.Buckets {
		v := s.of(b)
		switch {
		case i%each == 0:
			values = append(values, v)
		case math.IsNaN(values[len(values)-1]):
			values[len(values)-1] = v
		case !math.IsNaN(v):
			values[len(values)-1] = s.fold(values[len(values)-1], v)
		}
	}
	return values, each
}
