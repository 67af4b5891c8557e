package reconcile

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"plusone/hotpath/counter"
)

// Janitor keeps Redis' memory under a bound by making idle items cold. What it
// drops is in the ledger, so nothing is lost and nothing becomes wrong: an item
// loads again when it is asked for. Any number may run at once.
//
// It starts above 90 % of the bound and drops the longest idle items first, by
// rounds of ever shorter idle times, until it is below 80 %.
type Janitor struct {
	log   *counter.Log
	bound int64 // bytes; 0: 60 % of Redis' maxmemory, or 1 GiB
	every time.Duration

	used, limit atomic.Int64 // bytes, as last seen
	dropped     atomic.Int64 // items
}

// NewJanitor returns a Janitor that looks every so often. bound is in bytes; 0
// means 60 % of Redis' maxmemory, or 1 GiB when it has none. reg may be nil.
func NewJanitor(log *counter.Log, bound int64, every time.Duration, reg prometheus.Registerer) *Janitor {
	j := &Janitor{log: log, bound: bound, every: every}
	if reg != nil {
		evicted := prometheus.CounterOpts{Name: "plusone_evicted_items_total", Help: "Idle items made cold."}
		reg.MustRegister(prometheus.NewCounterFunc(evicted, func() float64 { return float64(j.dropped.Load()) }),
			bytesGauge("plusone_resident_bytes", "Memory that Redis uses.", &j.used),
			bytesGauge("plusone_resident_max_bytes", "Memory that Redis shall use at most.", &j.limit))
	}
	return j
}

func bytesGauge(name, help string, v *atomic.Int64) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return float64(v.Load()) })
}

// Run keeps the bound until ctx ends.
func (j *Janitor) Run(ctx context.Context) error {
	tick := time.NewTicker(j.every)
	defer tick.Stop()
	for {
		if err := j.round(ctx); err != nil && ctx.Err() == nil {
			slog.Warn("janitor: a round failed", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// idleTimes are the rounds: each drops what is idle for so long.
var idleTimes = []time.Duration{time.Hour, 10 * time.Minute, time.Minute, 10 * time.Second, 0}

func (j *Janitor) round(ctx context.Context) error {
	over, err := j.above(ctx, 90)
	if err != nil || !over {
		return err
	}
	for _, idle := range idleTimes {
		for shard := range j.log.Shards() {
			if err := j.shard(ctx, shard, idle); err != nil {
				return err
			}
			if over, err = j.above(ctx, 80); err != nil || !over {
				return err
			}
		}
	}
	slog.Warn("janitor: redis stays above its bound although every idle item is cold",
		"used_bytes", j.used.Load(), "bound_bytes", j.limit.Load())
	return nil
}

// above reports whether Redis uses more than percent of the bound.
func (j *Janitor) above(ctx context.Context, percent int64) (over bool, err error) {
	err = within(ctx, func(ctx context.Context) error {
		m, err := j.log.Memory(ctx)
		if err != nil {
			return err
		}
		limit := j.bound
		switch {
		case limit == 0 && m.Max > 0:
			limit = m.Max / 10 * 6
		case limit == 0:
			limit = 1 << 30
		}
		j.used.Store(m.Used)
		j.limit.Store(limit)
		over = m.Used > limit/100*percent
		return nil
	})
	return over, err
}

// shard drops the items of a shard that are idle for so long, page by page, until
// Redis is below the mark.
func (j *Janitor) shard(ctx context.Context, shard int, idle time.Duration) error {
	var cursor, next uint64
	for {
		over := false
		err := within(ctx, func(ctx context.Context) error {
			items, to, err := j.log.Resident(ctx, shard, cursor)
			if err != nil {
				return err
			}
			next = to
			return j.page(ctx, shard, items, idle)
		})
		if err == nil {
			over, err = j.above(ctx, 80)
		}
		if err != nil || !over || next == 0 {
			return err
		}
		cursor = next
	}
}

func (j *Janitor) page(ctx context.Context, shard int, items []string, idle time.Duration) error {
	times, err := j.log.Idle(ctx, shard, items)
	if err != nil {
		return err
	}
	var drop []string
	for i, item := range items {
		if times[i] >= idle {
			drop = append(drop, item)
		}
	}
	n, err := j.log.Evict(ctx, shard, drop)
	j.dropped.Add(int64(n))
	return err
}
