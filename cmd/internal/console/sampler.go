package console

import (
	"context"
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	sampleEvery = 2 * time.Second
	samplesKept = 450 // a quarter of an hour
	// watchedFor is how long somebody counts as looking after the last question.
	watchedFor = 15 * time.Second
)

// sampler keeps the last values of all lines. run is its only writer.
type sampler struct {
	opt     Options
	watched atomic.Int64 // unix nanoseconds of the last question

	mu   sync.Mutex
	ring []sample // oldest first
}

// sample is all lines at one moment; NaN where there is nothing to tell.
type sample struct {
	at     time.Time
	values []float64
}

func newSampler(o Options) *sampler { return &sampler{opt: o} }

func (s *sampler) run(ctx context.Context) {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	var before *figures
	for {
		now := s.take(ctx)
		values := make([]float64, len(lines))
		for i, l := range lines {
			values[i] = l.of(now, before)
		}
		s.keep(sample{now.at, values})
		before = now
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// take gathers this process' metrics, and asks the stores for what no metric of this
// process tells, if somebody looks.
func (s *sampler) take(ctx context.Context) *figures {
	f := gather(s.opt.Metrics)
	if time.Since(time.Unix(0, s.watched.Load())) < watchedFor {
		ctx, cancel := context.WithTimeout(ctx, sampleEvery)
		defer cancel()
		f.askStores(ctx, s.opt)
	}
	return f
}

func (s *sampler) keep(v sample) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.ring) == samplesKept {
		s.ring = append(s.ring[:0:0], s.ring[1:]...) // readers may hold the old one
	}
	s.ring = append(s.ring, v)
}

// after returns the samples behind a moment.
func (s *sampler) after(at time.Time) []sample {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, v := range s.ring {
		if v.at.After(at) {
			return s.ring[i:]
		}
	}
	return nil
}

// live answers {"at":[ms…],"lines":{"name":[…]}}, the samples behind ?after=ms.
func (c *Console) live(w http.ResponseWriter, r *http.Request) {
	c.samples.watched.Store(time.Now().UnixNano())
	ms, err := strconv.ParseInt(r.FormValue("after"), 10, 64)
	if err != nil {
		ms = 0
	}
	found := c.samples.after(time.UnixMilli(ms))
	answer := struct {
		At    []int64               `json:"at"`
		Lines map[string][]*float64 `json:"lines"`
	}{At: []int64{}, Lines: map[string][]*float64{}}
	for _, s := range found {
		answer.At = append(answer.At, s.at.UnixMilli())
	}
	for i, l := range lines {
		values := make([]*float64, len(found))
		for j, s := range found {
			if v := s.values[i]; !math.IsNaN(v) && !math.IsInf(v, 0) {
				values[j] = &v
			}
		}
		answer.Lines[l.id] = values
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer) // a client that has gone
}
