package console

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"plusone/hotpath/counter"
	"plusone/hotpath/like"
)

// figures are the metrics of this process at one moment, and beside them what the
// stores said when they were asked.
type figures struct {
	at       time.Time
	families map[string]*dto.MetricFamily

	waits    waits
	askedLog bool
	memory   counter.Memory
	bound    int64
	askedMem bool
}

// waits is what the logs of all shards hold.
type waits struct {
	entries  int64
	age, lag time.Duration // of the oldest entry; of the oldest that the ledger lacks
}

func gather(from prometheus.Gatherer) *figures {
	f := &figures{at: time.Now(), families: map[string]*dto.MetricFamily{}}
	found, _ := from.Gather() // what could be gathered is there; /metrics tells of the rest
	for _, family := range found {
		f.families[family.GetName()] = family
	}
	return f
}

func (f *figures) has(name string) bool { return f != nil && f.families[name] != nil }

// askStores asks for what only workers and reconcilers have gauges of.
func (f *figures) askStores(ctx context.Context, o Options) {
	if !f.has("plusone_log_entries") {
		var err error
		f.waits, err = waiting(ctx, o)
		f.askedLog = err == nil
	}
	if !f.has("plusone_resident_bytes") {
		m, err := o.Log.Memory(ctx)
		f.memory, f.bound, f.askedMem = m, m.Bound(o.MemoryBound), err == nil
	}
}

// waiting looks at the logs of all shards.
func waiting(ctx context.Context, o Options) (w waits, err error) {
	tails, err := o.Log.Tails(ctx)
	if err != nil {
		return w, err
	}
	marks, err := o.Ledger.Watermarks(ctx)
	if err != nil {
		return w, err
	}
	for shard, tail := range tails {
		w.entries += tail.Len
		w.age = max(w.age, ageOf(tail.Oldest))
		if tail.Last <= marks[shard] || tail.Len == 0 {
			continue
		}
		oldest, err := o.Log.Waits(ctx, shard, marks[shard])
		if err != nil {
			return w, err
		}
		w.lag = max(w.lag, ageOf(oldest))
	}
	return w, nil
}

func ageOf(v like.Version) time.Duration {
	if v == 0 {
		return 0
	}
	return max(0, time.Since(v.Time()))
}

// sum adds the series of a counter or gauge whose label has one of some values; all
// of them when the label is "".
func (f *figures) sum(name, label string, values ...string) float64 {
	if !f.has(name) {
		return math.NaN()
	}
	total := 0.0
	for _, m := range f.families[name].GetMetric() {
		if label == "" || slices.Contains(values, labelOf(m, label)) {
			total += valueOf(m)
		}
	}
	return total
}

// most is the largest of a gauge's series.
func (f *figures) most(name string) float64 {
	if !f.has(name) {
		return math.NaN()
	}
	largest := 0.0
	for _, m := range f.families[name].GetMetric() {
		largest = max(largest, valueOf(m))
	}
	return largest
}

func valueOf(m *dto.Metric) float64 {
	switch {
	case m.GetCounter() != nil:
		return m.GetCounter().GetValue()
	default:
		return m.GetGauge().GetValue()
	}
}

func labelOf(m *dto.Metric, name string) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}

// histogram is some series of one, added up.
type histogram struct {
	count   float64
	sum     float64
	bounds  []float64
	buckets []float64 // cumulative, beside bounds
}

// histogram adds the series of some routes, or all of them when none is named.
func (f *figures) histogram(name string, routes ...string) (h histogram) {
	if !f.has(name) {
		return h
	}
	for _, m := range f.families[name].GetMetric() {
		if routes != nil && !slices.Contains(routes, labelOf(m, "route")) {
			continue
		}
		one := m.GetHistogram()
		h.count += float64(one.GetSampleCount())
		h.sum += one.GetSampleSum()
		for i, b := range one.GetBucket() {
			if i == len(h.bounds) {
				h.bounds, h.buckets = append(h.bounds, b.GetUpperBound()), append(h.buckets, 0)
			}
			h.buckets[i] += float64(b.GetCumulativeCount())
		}
	}
	return h
}

// since is what came to it after an earlier moment.
func (h histogram) since(before histogram) histogram {
	h.count -= before.count
	h.sum -= before.sum
	for i := range h.buckets {
		if i < len(before.buckets) {
			h.buckets[i] -= before.buckets[i]
		}
	}
	return h
}

// mean is NaN when there is nothing.
func (h histogram) mean() float64 { return h.sum / h.count }

// quantile is where a part of all is below, taken evenly within a bucket; NaN when
// there is nothing. What is above the last bound counts as that.
func (h histogram) quantile(part float64) float64 {
	if h.count <= 0 || len(h.bounds) == 0 {
		return math.NaN()
	}
	rank, low, below := part*h.count, 0.0, 0.0
	for i, n := range h.buckets {
		if n >= rank && n > below {
			return low + (h.bounds[i]-low)*(rank-below)/(n-below)
		}
		low, below = h.bounds[i], n
	}
	return h.bounds[len(h.bounds)-1]
}
