package report

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// Step is the timeline's resolution.
const Step = 100 * time.Millisecond

// Bucket is what happened within one Step.
type Bucket struct {
	Acked   int            `json:"acked"` // ops, without readings
	Read    int            `json:"read"`
	Unknown int            `json:"unknown,omitempty"`
	Refused map[string]int `json:"refused,omitempty"` // by code
	Log     int64          `json:"log"`               // entries in all logs, -1: Redis did not tell
}

// Gap is a time without an acknowledgement of any op.
type Gap struct{ From, To time.Time }

// gapMin is the shortest gap that is kept.
const gapMin = 50 * time.Millisecond

// Timeline counts answers as they come. It is safe for concurrent use.
type Timeline struct {
	start time.Time

	mu      sync.Mutex
	buckets []Bucket
	last    time.Time // of the last acknowledgement
	gaps    []Gap
	totals  Totals
}

// Totals are sums over the whole run.
type Totals struct {
	Acked   int            `json:"acked"`
	Read    int            `json:"read"`
	Unknown int            `json:"unknown"`
	Refused map[string]int `json:"refused"`
}

// NewTimeline begins a timeline at start.
func NewTimeline(start time.Time) *Timeline {
	return &Timeline{start: start, last: start, totals: Totals{Refused: map[string]int{}}}
}

// at is the bucket of a moment. The caller holds mu.
func (t *Timeline) at(now time.Time) *Bucket {
	i := max(0, int(now.Sub(t.start)/Step))
	for len(t.buckets) <= i {
		t.buckets = append(t.buckets, Bucket{Log: -1})
	}
	return &t.buckets[i]
}

// Acked counts an acknowledged op.
func (t *Timeline) Acked(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.at(now).Acked++
	t.totals.Acked++
	if now.Sub(t.last) >= gapMin {
		t.gaps = append(t.gaps, Gap{t.last, now})
	}
	if now.After(t.last) {
		t.last = now
	}
}

// Read counts an answered reading.
func (t *Timeline) Read(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.at(now).Read++
	t.totals.Read++
}

// Failed counts a request that was refused with code, or whose outcome is
// unknown.
func (t *Timeline) Failed(now time.Time, code string, unknown bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.at(now)
	if unknown {
		b.Unknown++
		t.totals.Unknown++
		return
	}
	if b.Refused == nil {
		b.Refused = map[string]int{}
	}
	b.Refused[code]++
	t.totals.Refused[code]++
}

// Log enters how many entries the logs hold.
func (t *Timeline) Log(now time.Time, entries int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.at(now).Log = entries
}

// Totals are the sums so far.
func (t *Timeline) Totals() Totals {
	t.mu.Lock()
	defer t.mu.Unlock()
	sums := t.totals
	sums.Refused = maps.Clone(t.totals.Refused)
	return sums
}

// Between sums up the buckets from one moment to another.
func (t *Timeline) Between(from, to time.Time) (sum Totals) {
	t.mu.Lock()
	defer t.mu.Unlock()
	sum.Refused = map[string]int{}
	for _, b := range t.span(from, to) {
		sum.Acked += b.Acked
		sum.Read += b.Read
		sum.Unknown += b.Unknown
		for code, n := range b.Refused {
			sum.Refused[code] += n
		}
	}
	return sum
}

// span is the buckets of an interval. The caller holds mu.
func (t *Timeline) span(from, to time.Time) []Bucket {
	i := min(max(0, int(from.Sub(t.start)/Step)), len(t.buckets))
	j := min(max(i, int(to.Sub(t.start)/Step)), len(t.buckets))
	return t.buckets[i:j]
}

// Median is the median of acknowledged ops per second in an interval, over its
// whole windows.
func (t *Timeline) Median(from, to time.Time) float64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	var rates []float64
	for span := t.span(from, to); len(span) >= window; span = span[window:] {
		rates = append(rates, rate(span[:window]))
	}
	if len(rates) == 0 {
		return 0
	}
	slices.Sort(rates)
	return rates[len(rates)/2]
}

// window is how many buckets a rate is taken over: half a second.
const window = 5

func rate(buckets []Bucket) float64 {
	n := 0
	for _, b := range buckets {
		n += b.Acked
	}
	return float64(n) / (time.Duration(len(buckets)) * Step).Seconds()
}

// Reached tells how long after from the rate of acknowledged ops is at least
// want for the first time, looking no further than to.
func (t *Timeline) Reached(from, to time.Time, want float64) (after time.Duration, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	span := t.span(from, to)
	for i := 0; i+window <= len(span); i++ {
		if rate(span[i:i+window]) >= want {
			return time.Duration(i) * Step, true
		}
	}
	return 0, false
}

// LogBelow tells how long after from the logs hold at most most entries for the
// first time, looking no further than to.
func (t *Timeline) LogBelow(from, to time.Time, most int64) (after time.Duration, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, b := range t.span(from, to) {
		if b.Log >= 0 && b.Log <= most {
			return time.Duration(i) * Step, true
		}
	}
	return 0, false
}

// LongestGap is the longest time without an acknowledgement that touches an
// interval, cut off at its beginning.
func (t *Timeline) LongestGap(from, to time.Time) (longest time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, g := range append(slices.Clone(t.gaps), Gap{t.last, to}) {
		if g.To.After(from) && g.From.Before(to) {
			if g.From.Before(from) {
				g.From = from
			}
			longest = max(longest, g.To.Sub(g.From))
		}
	}
	return longest
}

// Buckets are a copy of the buckets before to, the first one at Start. No more
// answers may come.
func (t *Timeline) Buckets(to time.Time) []Bucket {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.span(t.start, to))
}

// Start is the first moment.
func (t *Timeline) Start() time.Time { return t.start }
