package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// WriteTable tells the run on a terminal.
func (r *Run) WriteTable(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	line := func(cells ...any) {
		for _, c := range cells {
			_, _ = fmt.Fprintf(w, "%v\t", c)
		}
		_, _ = fmt.Fprintln(w)
	}
	line("fault", "n", "acked", "unknown", "refused", "lost", "wrong", "longest gap", "recovery median", "max", "log short again")
	for _, k := range r.Kinds {
		line(k.Kind, k.N, k.Acked, k.Unknown, k.Refused, k.Lost, k.Wrong,
			seconds(k.Gap), seconds(k.RecoveredMedian), seconds(k.RecoveredMax), seconds(k.DrainedMax))
	}
	if err := w.Flush(); err != nil { // also what the lines above could not write
		return err
	}
	var b strings.Builder
	for _, s := range r.Skipped {
		fmt.Fprintf(&b, "skipped: %s: %s\n", s.Kind, s.Why)
	}
	t := r.Totals
	fmt.Fprintf(&b, "\n%.0f s, seed %d, appendfsync %s: %d ops acknowledged (median %.0f/s), %d readings, %d unknown, refused: %s\n",
		r.Seconds, r.Seed, r.Fsync, t.Acked, r.Median, t.Read, t.Unknown, codes(t.Refused))
	for _, c := range r.Checks {
		fmt.Fprintf(&b, "%s  %s: %s\n", map[bool]string{true: "ok  ", false: "FAIL"}[c.OK], c.Name, c.Told)
	}
	r.tellWrongs(&b)
	_, err := io.WriteString(out, b.String())
	return err
}

// toldWrongs is how many broken promises the terminal shows; the file has all.
const toldWrongs = 5

func (r *Run) tellWrongs(b *strings.Builder) {
	for i, w := range r.Wrongs {
		if i == toldWrongs {
			fmt.Fprintf(b, "… and %d more\n", len(r.Wrongs)-i)
			return
		}
		fmt.Fprintf(b, "%s during %s: %s %s: %s\n  %s\n", strings.ToUpper(w.Kind), w.During, w.Item, w.User, w.What,
			strings.Join(w.History, "\n  "))
	}
}

func seconds(s float64) string {
	if s < 0 {
		return "never"
	}
	return fmt.Sprintf("%.1f s", s)
}

func codes(refused map[string]int) string {
	if len(refused) == 0 {
		return "none"
	}
	var all []string
	for code, n := range refused {
		all = append(all, fmt.Sprintf("%d %s", n, code))
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}
