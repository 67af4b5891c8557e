package report

import (
	"fmt"
	"html/template"
	"strings"

	"plusone/cmd/bench/pieces"
	"plusone/cmd/internal/plot"
)

// chart draws a curve.
func chart(c pieces.Curve) template.HTML {
	line := plot.Line{Name: c.Name}
	for _, p := range c.Points {
		line.X, line.Y = append(line.X, p.X), append(line.Y, p.Y)
	}
	return plot.Chart{
		Title: c.Name + " over " + c.Over, X: plot.Axis{Name: c.Over, Log: true}, Y: plot.Axis{Name: c.Name}, Lines: []plot.Line{line},
	}.SVG()
}

// Tell is a curve as a line of text.
func Tell(c pieces.Curve) string {
	var b strings.Builder
	for _, p := range c.Points {
		fmt.Fprintf(&b, "  %s: %s", plot.Short(p.X), Number(p.Y))
	}
	return c.Name + " over " + c.Over + b.String()
}
