package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"plusone/cmd/bench/pieces"
	"plusone/cmd/bench/report"
	"plusone/scripts/dev/private"
	"plusone/scripts/dev/private/privatetest"
)

// This test binary is the bench's other roles, too.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == "serve" || os.Args[1] == "load") {
		main()
	}
	privatetest.Main(m)
}

// built is plusone, built for the test.
func built(t *testing.T) string {
	t.Helper()
	privatetest.Redis(t) // skips where it is missing
	bin := filepath.Join(t.TempDir(), "plusone")
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", bin, "../plusone").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return bin
}

// measured runs the bench and returns what it wrote and printed.
func measured(t *testing.T, args ...string) (r report.Run, said string) {
	t.Helper()
	dir := t.TempDir()
	var out, errs bytes.Buffer
	code := run(append([]string{"--plusone", built(t), "--out", dir}, args...), &out, &errs)
	if strings.Contains(errs.String(), private.ErrMissing.Error()) && os.Getenv("CI") != "true" {
		t.Skip(errs.String())
	}
	if code != exitOK {
		t.Fatalf("exit code %d: %s%s", code, &out, &errs)
	}
	b, err := os.ReadFile(filepath.Join(dir, "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(left) != 2 {
		t.Errorf("it left %v: %v", left, err)
	}
	page, err := os.ReadFile(filepath.Join(dir, "report.html"))
	if err != nil || strings.Contains(string(page), "http://") || strings.Contains(string(page), "https://") {
		t.Errorf("the page needs the network: %v", err)
	}
	return r, out.String()
}

func TestTheBenchMeasuresAndCounts(t *testing.T) {
	args := []string{"--quick", "--seconds", "1", "--conns", "32"}
	if os.Getenv("PLUSONE_TEST_LONG") == "" {
		args = append(args, "--only", "put,sustained / bare,script")
	}
	r, said := measured(t, args...)
	for _, p := range r.Pieces {
		if len(p.Rounds) != 1 || p.Error != "" || p.Median(pieces.PerSecond) <= 0 {
			t.Errorf("%s: %+v", p.Name, p)
		}
	}
	for _, g := range r.Goals {
		if g.Failed != "" && g.Of != "allocs" || g.Failed == "" && g.Ratio.Median <= 0 {
			t.Errorf("%+v", g)
		}
	}
	if t.Failed() {
		t.Log(said)
	}
}

func TestEveryGoalComparesPiecesThatThereAre(t *testing.T) {
	names := map[string]bool{}
	for _, p := range pieces.All {
		if names[p.Name] {
			t.Errorf("two pieces are called %s", p.Name)
		}
		names[p.Name] = true
	}
	for _, g := range pieces.Goals {
		for _, name := range g.Needs() {
			if !names[name] {
				t.Errorf("%s needs %s", g.Name, name)
			}
		}
	}
}

func TestRowsAreChosenWithWhatTheyNeed(t *testing.T) {
	chosen, goals := choose([]string{"p99 of PUT"})
	var names []string
	for _, p := range chosen {
		names = append(names, p.Name)
	}
	if want := []string{"put", "bare-half", "put-half"}; !slices.Equal(names, want) || len(goals) != 1 {
		t.Errorf("%v for %+v", names, goals)
	}
	if chosen, goals = choose(nil); len(chosen) != len(pieces.All) || len(goals) != len(pieces.Goals) {
		t.Errorf("%d pieces, %d goals", len(chosen), len(goals))
	}
}

func TestWhatCannotBeMeasuredIsNoSuccess(t *testing.T) {
	var out, errs bytes.Buffer
	if code := run([]string{"--only", "nothing like it", "--out", t.TempDir()}, &out, &errs); code != exitFailed {
		t.Errorf("exit code %d", code)
	}
	if code := run([]string{"--list"}, &out, &errs); code != exitOK || !strings.Contains(out.String(), "raw-redis") {
		t.Errorf("exit code %d: %s", code, &out)
	}
}
