package plot

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
)

// drawn checks that a drawing is well-formed and escapes what it is given.
func drawn(t *testing.T, svg string, wants ...string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v in %s", err, svg)
		}
	}
	for _, want := range wants {
		if !strings.Contains(svg, want) {
			t.Errorf("%q is missing in %s", want, svg)
		}
	}
	if strings.Contains(svg, "NaN") || strings.Contains(svg, "Inf") || strings.Contains(svg, "<b>") {
		t.Errorf("a hole was drawn, or a name not escaped: %s", svg)
	}
}

func TestAChartIsDrawnWithHolesAndWithoutPoints(t *testing.T) {
	line := Line{"a <b>", []float64{1, 10, 100, 1000}, []float64{5, math.NaN(), 0, 50}}
	for _, log := range []bool{false, true} {
		drawn(t, string(Chart{Title: "of", X: Axis{Name: "x", Log: log}, Y: Axis{Name: "y", Log: log}, Lines: []Line{line}}.SVG()), "a &lt;b&gt;", `class="c0"`)
	}
	drawn(t, string(Chart{Title: "nothing", X: Axis{Log: true}}.SVG()), "nothing")
}

func TestBarsEndWhereTheirSumIs(t *testing.T) {
	svg := string(Bars{Title: "of", Parts: []string{"a", "b"}, Rows: []Bar{{"<b>", []float64{3, 1}, "4"}, {"half", []float64{1, 1}, "2"}, {"none", nil, ""}}}.SVG())
	drawn(t, svg, `width="450.0"`, `width="150.0"`) // of 600 for 4
	drawn(t, string(Bars{Rows: []Bar{{"zero", []float64{0}, ""}}}.SVG()), "zero")
}

func TestAnAxisEndsAtARoundNumber(t *testing.T) {
	for v, want := range map[float64]float64{0: 1, 0.9: 1, 1: 1, 1.2: 1.5, 76: 100, 740: 750} {
		if got := RoundUp(v); math.Abs(got-want) > 1e-9 {
			t.Errorf("%v: %v, not %v", v, got, want)
		}
	}
}
