package report

import (
	"encoding/json"
	"os"
	"slices"
	"time"
)

// Run is all that is told of a run. Times of day are UTC, durations and moments
// of the run are in seconds.
type Run struct {
	Seed    uint64    `json:"seed"`
	Fsync   string    `json:"appendfsync"`
	Started time.Time `json:"started"`
	Seconds float64   `json:"seconds"` // of load, with and without faults
	Median  float64   `json:"median_ops_per_second"`

	Totals  Totals    `json:"totals"`
	Faults  []Fault   `json:"faults"`
	Kinds   []Kind    `json:"kinds"`
	Skipped []Skipped `json:"skipped"`
	Checks  []Check   `json:"checks"`
	Wrongs  []Wrong   `json:"wrongs"`

	Buckets []Bucket `json:"buckets"` // of 100 ms
}

// Where the time to full speed counts from.
const (
	FromBegin = "its beginning"
	FromEnd   = "its end"
)

// Fault is what came of one fault.
type Fault struct {
	Kind      string   `json:"kind"`
	Target    string   `json:"target"`
	Begin     float64  `json:"begin"`
	End       float64  `json:"end"`       // when it was over, and what was away was back
	Until     float64  `json:"until"`     // what comes before belongs to this fault
	Recovered *float64 `json:"recovered"` // seconds to 90 % of full speed, null: not before Until
	From      string   `json:"recovery_counts_from"`
	Drained   *float64 `json:"drained"`     // seconds until the logs were short again, from the same moment
	Gap       float64  `json:"longest_gap"` // without an acknowledged op
	Acked     int      `json:"acked"`
	Unknown   int      `json:"unknown"`
	Refused   int      `json:"refused"`
	Lost      int      `json:"lost"`
	Wrong     int      `json:"wrong"`
}

// Kind is what came of all faults of a kind.
type Kind struct {
	Kind            string  `json:"kind"`
	N               int     `json:"n"`
	Acked           int     `json:"acked"`
	Unknown         int     `json:"unknown"`
	Refused         int     `json:"refused"`
	Lost            int     `json:"lost"`
	Wrong           int     `json:"wrong"`
	Gap             float64 `json:"longest_gap"`
	RecoveredMedian float64 `json:"recovered_median"` // -1: one of them did not
	RecoveredMax    float64 `json:"recovered_max"`
	DrainedMax      float64 `json:"drained_max"`
}

// Skipped is a kind of fault that the machine could not have.
type Skipped struct {
	Kind string `json:"kind"`
	Why  string `json:"why"`
}

// Check is one thing that has to hold at the end.
type Check struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	Told string `json:"told"`
}

// Wrong is a broken promise.
type Wrong struct {
	At      time.Time `json:"at"`
	Kind    string    `json:"kind"`
	Item    string    `json:"item"`
	User    string    `json:"user"`
	What    string    `json:"what"`
	During  string    `json:"during"` // the fault whose time it belongs to
	History []string  `json:"history"`
}

// OK reports whether all checks hold.
func (r *Run) OK() bool {
	return !slices.ContainsFunc(r.Checks, func(c Check) bool { return !c.OK })
}

// Sum fills Kinds from Faults.
func (r *Run) Sum() {
	r.Kinds = nil
	var names []string
	for _, f := range r.Faults {
		if !slices.Contains(names, f.Kind) {
			names = append(names, f.Kind)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		r.Kinds = append(r.Kinds, r.sum(name))
	}
}

func (r *Run) sum(name string) Kind {
	k := Kind{Kind: name}
	var times []float64
	for _, f := range r.Faults {
		if f.Kind != name {
			continue
		}
		k.N++
		k.Acked += f.Acked
		k.Unknown += f.Unknown
		k.Refused += f.Refused
		k.Lost += f.Lost
		k.Wrong += f.Wrong
		k.Gap = max(k.Gap, f.Gap)
		times = append(times, orNever(f.Recovered))
		if d := orNever(f.Drained); d < 0 || k.DrainedMax < 0 {
			k.DrainedMax = -1
		} else {
			k.DrainedMax = max(k.DrainedMax, d)
		}
	}
	if slices.Contains(times, -1) {
		k.RecoveredMedian, k.RecoveredMax = -1, -1
		return k
	}
	slices.Sort(times)
	k.RecoveredMedian, k.RecoveredMax = times[len(times)/2], times[len(times)-1]
	return k
}

func orNever(seconds *float64) float64 {
	if seconds == nil {
		return -1
	}
	return *seconds
}

// WriteJSON writes the run to a file.
func (r *Run) WriteJSON(path string) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return os.WriteFile(path, b, 0o644)
}
