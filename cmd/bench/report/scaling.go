package report

import (
	"fmt"
	"html/template"
	"strings"

	"plusone/cmd/internal/plot"
)

// Curve is how a figure changes as work grows.
type Curve struct {
	Name   string  `json:"name"`   // of the figure, with its unit
	Over   string  `json:"over"`   // what grows
	Points []Point `json:"points"` // in the order of X
}

// Point is one measurement of a curve.
type Point struct {
	X float64 `json:"x"`
	Y float64 `json:"y"`
}

func (c Curve) chart() template.HTML {
	line := plot.Line{Name: c.Name}
	for _, p := range c.Points {
		line.X, line.Y = append(line.X, p.X), append(line.Y, p.Y)
	}
	return plot.Chart{
		Title: c.Name + " over " + c.Over, X: plot.Axis{Name: c.Over, Log: true}, Y: plot.Axis{Name: c.Name}, Lines: []plot.Line{line},
	}.SVG()
}

// tell is the curve as a line of text.
func (c Curve) tell() string {
	var b strings.Builder
	for _, p := range c.Points {
		fmt.Fprintf(&b, "  %s: %s", plot.Short(p.X), Number(p.Y))
	}
	return c.Name + " over " + c.Over + b.String()
}
