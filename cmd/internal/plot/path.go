package plot

import (
	"fmt"
	"math"
	"strings"
)

// Path writes values as the path of a line; NaN is a hole, after which a new
// stroke begins.
func Path(values []float64, at func(i int, v float64) (x, y float64)) string {
	var b strings.Builder
	pen := "M"
	for i, v := range values {
		if math.IsNaN(v) {
			pen = "M"
			continue
		}
		x, y := at(i, v)
		fmt.Fprintf(&b, "%s%.1f %.1f", pen, x, y)
		pen = "L"
	}
	return b.String()
}

// RoundUp is the next of 1, 1.5, 2, 3, 5, 7.5, 10, 15, …: the end of an axis.
func RoundUp(v float64) float64 {
	if v <= 0 {
		return 1
	}
	base := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 1.5, 2, 3, 5, 7.5} {
		if v <= m*base {
			return m * base
		}
	}
	return 10 * base
}
