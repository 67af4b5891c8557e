package plot

import (
	"fmt"
	"html/template"
	"strings"
)

// Bar is a row of parts, one behind the other.
type Bar struct {
	Name  string
	Parts []float64 // one for each of Bars.Parts
	Text  string    // at its end
}

// Bars are rows below each other.
type Bars struct {
	Title string
	Parts []string // their names; a single one needs no legend
	Rows  []Bar
}

const (
	barTall, barGap = 16.0, 6.0
	barLeft         = 170.0
	barRight        = 130.0
)

// SVG draws the bars.
func (c Bars) SVG() template.HTML {
	most := 0.0
	for _, r := range c.Rows {
		most = max(most, r.sum())
	}
	var b strings.Builder
	y := top + 10
	begin(&b, c.Title, y+float64(len(c.Rows))*(barTall+barGap)+4)
	text(&b, 0, 16, "start", c.Title)
	if len(c.Parts) > 1 {
		fmt.Fprintf(&b, `<text x="%.1f" y="16">`, barLeft+100)
		for i, name := range c.Parts {
			fmt.Fprintf(&b, `<tspan class="%s" dx="12">%s</tspan>`, class(i), template.HTMLEscapeString(name))
		}
		b.WriteString("</text>")
	}
	for _, r := range c.Rows {
		text(&b, barLeft-8, y+barTall-4, "end", r.Name)
		x := barLeft
		for i, v := range r.Parts {
			w := 0.0
			if most > 0 {
				w = v / most * (width - barLeft - barRight)
			}
			fmt.Fprintf(&b, `<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`, class(i), x, y, w, barTall)
			x += w
		}
		text(&b, x+6, y+barTall-4, "start", r.Text)
		y += barTall + barGap
	}
	b.WriteString("</svg>")
	return template.HTML(b.String()) // all text in it is escaped
}

func (r Bar) sum() (s float64) {
	for _, v := range r.Parts {
		s += v
	}
	return s
}
