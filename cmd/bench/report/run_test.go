package report

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"plusone/cmd/bench/load"
	"plusone/cmd/bench/pieces"
)

func figures(perSecond, cpu float64) pieces.Figures {
	return pieces.Figures{
		Values: map[string]float64{pieces.PerSecond: perSecond, pieces.CPUAll: cpu, pieces.CPUOf + "api": cpu},
		Curve:  []load.Quantile{{Q: 50, Micros: 100}, {Q: 99, Micros: 900}},
		Samples: []pieces.Sample{
			{Seconds: 1, Acked: 10, Log: 5, API: 1 << 20, Redis: 1 << 20},
		},
	}
}

// aRun has three rounds of two pieces; in the second one somebody else used the
// machine.
func aRun(failure error) *Run {
	r := &Run{Scaling: []pieces.Curve{{Name: "bytes", Over: "likes", Points: []pieces.Point{{X: 10, Y: 60}, {X: 1000, Y: 50}}}}}
	base, of := &pieces.Piece{Name: "bare"}, &pieces.Piece{Name: "put"}
	for _, f := range [][2]float64{{1000, 600}, {100, 70}, {1200, 600}} {
		r.Add(base, figures(f[0], 10), nil)
		r.Add(of, figures(f[1], 20), failure)
	}
	return r
}

var goal = pieces.Goal{Name: "of / base", Of: "put", Base: "bare", Figure: pieces.PerSecond, Unit: "likes/s", Reach: 0.55, Stretch: 0.8}

func TestRatiosAreOfTheSameRound(t *testing.T) {
	r := aRun(nil)
	r.Judge([]pieces.Goal{goal})
	g := r.Goals[0]
	if g.Ratio != (Spread{0.6, 0.5, 0.7}) || g.Value != 600 || g.ByCPU != 0.5 || g.Verdict() != "reach" {
		t.Errorf("%+v is %s", g, g.Verdict())
	}
}

func TestLessMayBeBetter(t *testing.T) {
	g := Goal{Goal: pieces.Goal{Reach: 1.4, Stretch: 1}}
	for ratio, want := range map[float64]string{1.5: "no", 1.4: "reach", 0.9: "stretch"} {
		if g.Ratio.Median = ratio; g.Verdict() != want {
			t.Errorf("%v is %s", ratio, g.Verdict())
		}
	}
}

func TestAWrongCountIsNoFigure(t *testing.T) {
	r := aRun(fmt.Errorf("%w: 3 acknowledged, 2 stored", pieces.ErrWrong))
	r.Judge([]pieces.Goal{goal})
	if !r.Wrong() || !r.Failed() || !strings.Contains(r.Goals[0].Failed, "WRONG") {
		t.Errorf("%+v", r.Goals)
	}
	var table strings.Builder
	if err := r.WriteTable(&table); err != nil || !strings.Contains(table.String(), "3 acknowledged, 2 stored") {
		t.Errorf("%v: %s", err, &table)
	}
	if r = aRun(errors.New("no room")); r.Wrong() || !r.Failed() {
		t.Error("what failed otherwise is called wrong")
	}
}

func TestThePageAndTheTableTellTheSame(t *testing.T) {
	r := aRun(nil)
	r.Judge([]pieces.Goal{goal})
	path := filepath.Join(t.TempDir(), "report.html")
	if err := r.WritePage(path); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	if err := r.WriteTable(&table); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"of / base", "0.60", "reach", "bytes over likes"} {
		if !strings.Contains(string(page), want) || !strings.Contains(table.String(), want) {
			t.Errorf("%q is missing from the page or the table:\n%s", want, &table)
		}
	}
	if n := strings.Count(string(page), "<svg"); n != 6 {
		t.Errorf("%d plots", n)
	}
}
