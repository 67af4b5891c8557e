package report

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// aRun has a fault that recovered and one that did not.
func aRun() *Run {
	line, at := lived()
	back := 0.4
	r := &Run{
		Seed: 7, Fsync: "always", Seconds: 10, Median: 100, Totals: line.Totals(), Buckets: line.Buckets(at(10)),
		Faults: []Fault{
			{Kind: "kill-redis", Target: "redis", From: FromEnd, Begin: 4, End: 6, Until: 8, Recovered: &back, Drained: &back, Acked: 150, Gap: 2.5},
			{Kind: "kill-redis", Target: "redis", From: FromEnd, Begin: 8, End: 9, Until: 10, Lost: 1},
		},
		Skipped: []Skipped{{"redis-disk-full", "only root can mount a small disk"}},
		Checks:  []Check{{"nothing acknowledged is lost", false, "1 lost"}},
		Wrongs:  []Wrong{{Kind: "lost", Item: "own-1", User: "ann", What: "<gone>", During: "kill-redis", History: []string{"like"}}},
	}
	r.Sum()
	return r
}

func TestAKindWithAFaultThatNeverRecoveredSaysSo(t *testing.T) {
	k := aRun().Kinds
	if len(k) != 1 || k[0].N != 2 || k[0].Lost != 1 || k[0].RecoveredMax != -1 || k[0].DrainedMax != -1 || k[0].Gap != 2.5 {
		t.Fatalf("%+v", k)
	}
}

func TestThePageAndTheTableTellTheSame(t *testing.T) {
	r, dir := aRun(), t.TempDir()
	html, js := filepath.Join(dir, "report.html"), filepath.Join(dir, "report.json")
	if err := r.WritePage(html); err != nil {
		t.Fatal(err)
	}
	if err := r.WriteJSON(js); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(html)
	if err != nil {
		t.Fatal(err)
	}
	page := string(b)
	var table strings.Builder
	if err := r.WriteTable(&table); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"kill-redis", "only root can mount", "1 lost", "never", "2.5 s", "own-1"} {
		if !strings.Contains(page, want) || !strings.Contains(table.String(), want) {
			t.Errorf("%q is missing from the page or the table:\n%s", want, table.String())
		}
	}
	if strings.Contains(page, "http://") || strings.Contains(page, "https://") || strings.Contains(page, "<gone>") {
		t.Error("the page needs the network, or does not escape")
	}
	var back Run
	if b, err = os.ReadFile(js); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &back); err != nil || len(back.Buckets) != 100 || back.OK() {
		t.Fatalf("%d buckets: %v", len(back.Buckets), err)
	}
}
