package plot

import (
	"fmt"
	"html/template"
	"math"
	"strconv"
	"strings"
)

// Line is a series of points, in the order of their X.
type Line struct {
	Name string
	X, Y []float64
}

// Axis says how values are shown.
type Axis struct {
	Name string
	Log  bool
	Text func(v float64) string // nil: Short
}

// Chart is lines over common axes.
type Chart struct {
	Title string
	X, Y  Axis
	Lines []Line
}

// The chart's size in units of its viewBox.
const (
	width, height           = 900.0, 300.0
	left, right, top, below = 70.0, 16.0, 30.0, 60.0
)

// span is the range of an axis.
type span struct {
	Axis
	from, to float64
}

// of is how far along the axis v lies, 0 to 1.
func (s span) of(v float64) float64 {
	if s.Log {
		return (math.Log10(v) - math.Log10(s.from)) / (math.Log10(s.to) - math.Log10(s.from))
	}
	return (v - s.from) / (s.to - s.from)
}

// ticks are round values within the span.
func (s span) ticks() (all []float64) {
	if s.Log {
		for v := math.Pow(10, math.Floor(math.Log10(s.from))); v <= s.to*1.001; v *= 10 {
			if v >= s.from*0.999 {
				all = append(all, v)
			}
		}
		return all
	}
	step := RoundUp((s.to - s.from) / 6)
	for v := s.from; v <= s.to+step/1000; v += step {
		all = append(all, v)
	}
	return all
}

func (s span) text(v float64) string {
	if s.Text != nil {
		return s.Text(v)
	}
	return Short(v)
}

// spanOf fits an axis to values: a linear one begins at 0, a logarithmic one has
// whole decades and no values that it can't show.
func spanOf(a Axis, of func(Line) []float64, lines []Line) span {
	least, most := math.Inf(1), math.Inf(-1)
	for _, l := range lines {
		for _, v := range of(l) {
			if !math.IsNaN(v) && (!a.Log || v > 0) {
				least, most = min(least, v), max(most, v)
			}
		}
	}
	switch {
	case most < least:
		return span{a, 1, 10}
	case !a.Log:
		return span{a, 0, RoundUp(most)}
	}
	from, to := math.Pow(10, math.Floor(math.Log10(least))), math.Pow(10, math.Ceil(math.Log10(most)))
	if from == to {
		to *= 10
	}
	return span{a, from, to}
}

// SVG draws the chart.
func (c Chart) SVG() template.HTML {
	x := spanOf(c.X, func(l Line) []float64 { return l.X }, c.Lines)
	y := spanOf(c.Y, func(l Line) []float64 { return l.Y }, c.Lines)
	px := func(v float64) float64 { return left + x.of(v)*(width-left-right) }
	py := func(v float64) float64 { return height - below - y.of(v)*(height-below-top) }
	var b strings.Builder
	begin(&b, c.Title, height)
	for _, v := range y.ticks() {
		fmt.Fprintf(&b, `<line class="axis" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/>`, left, width-right, py(v), py(v))
		text(&b, left-6, py(v)+4, "end", y.text(v))
	}
	for _, v := range x.ticks() {
		text(&b, px(v), height-below+16, "middle", x.text(v))
	}
	text(&b, left, 16, "start", c.Title+"; "+c.Y.Name)
	text(&b, width-right, height-below+32, "end", c.X.Name)
	c.legend(&b)
	for i, l := range c.Lines {
		ys := make([]float64, len(l.Y))
		for j, v := range l.Y {
			if ys[j] = v; y.Log && v <= 0 || x.Log && l.X[j] <= 0 {
				ys[j] = math.NaN()
			}
		}
		path := Path(ys, func(j int, v float64) (float64, float64) { return px(l.X[j]), py(v) })
		fmt.Fprintf(&b, `<path class="%s" d="%s"><title>%s</title></path>`, class(i), path, template.HTMLEscapeString(l.Name))
	}
	b.WriteString("</svg>")
	return template.HTML(b.String()) // all text in it is escaped
}

func (c Chart) legend(b *strings.Builder) {
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f">`, left, height-below+48)
	for i, l := range c.Lines {
		fmt.Fprintf(b, `<tspan class="%s" dx="12">%s</tspan>`, class(i), template.HTMLEscapeString(l.Name))
	}
	b.WriteString("</text>")
}

func begin(b *strings.Builder, title string, height float64) {
	fmt.Fprintf(b, `<svg viewBox="0 0 %.0f %.0f" role="img" aria-label="%s">`, width, height, template.HTMLEscapeString(title))
}

func text(b *strings.Builder, x, y float64, anchor, s string) {
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="%s">%s</text>`, x, y, anchor, template.HTMLEscapeString(s))
}

// colours is how many classes there are.
const colours = 8

func class(i int) string { return "c" + strconv.Itoa(i%colours) }

// Short writes a value for an axis.
func Short(v float64) string {
	switch abs := math.Abs(v); {
	case abs >= 1e6:
		return strconv.FormatFloat(v/1e6, 'g', 4, 64) + " M"
	case abs >= 1e3:
		return strconv.FormatFloat(v/1e3, 'g', 4, 64) + " k"
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}
