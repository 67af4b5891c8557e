package reconcile

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"plusone/hotpath/counter"
)

// JanitorOptions say what the janitor keeps. The zero value of each means its
// default.
type JanitorOptions struct {
	Bound  int64         // bytes that Redis shall use at most; 60 % of its maxmemory, or 1 GiB
	SetMax int           // members that a large item may keep; 20,000
	Every  time.Duration // between looks at the memory; 200 ms

	Metrics prometheus.Registerer // where to register; nil: nowhere
}

// Janitor keeps Redis' memory under a bound by making idle items cold, and large
// ones partly resident. What it drops is in the ledger, so nothing is lost and
// nothing becomes wrong: it loads again when it is asked for. Any number may run
// at once.
//
// It begins above 85 % of the bound and goes on until it is below 75 %, below the
// bound a fifth of the time, above it all the time. Where that is not enough, it tries
// again after nine times as long, at most two seconds. A random
// sample tells for how long the items to drop have been idle. Idle times reach back
// to the reconciler's last full pass at most, which touches every set.
type Janitor struct {
	log  *counter.Log
	opt  JanitorOptions
	next []cursor // per shard: where it goes on

	used, limit atomic.Int64 // bytes, as last seen
	dropped     atomic.Int64 // items
	forgotten   atomic.Int64 // users of large items
	warned      time.Time
}

// cursor is a place among a shard's resident items.
type cursor uint64

// The marks, in percent of the bound.
const (
	highMark = 85
	lowMark  = 75
)

// NewJanitor returns a Janitor of the logs' shards.
func NewJanitor(log *counter.Log, opt JanitorOptions) *Janitor {
	if opt.SetMax == 0 {
		opt.SetMax = 20_000
	}
	if opt.Every == 0 {
		opt.Every = 200 * time.Millisecond
	}
	j := &Janitor{log: log, opt: opt, next: make([]cursor, log.Shards())}
	if opt.Metrics != nil {
		opt.Metrics.MustRegister(
			total("plusone_evicted_items_total", "Idle items made cold.", &j.dropped),
			total("plusone_forgotten_likers_total", "Users that large items have forgotten.", &j.forgotten),
			gauge("plusone_resident_bytes", "Memory that Redis uses.", &j.used),
			gauge("plusone_resident_max_bytes", "Memory that Redis shall use at most.", &j.limit))
	}
	return j
}

func total(name, help string, v *atomic.Int64) prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return float64(v.Load()) })
}

func gauge(name, help string, v *atomic.Int64) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return float64(v.Load()) })
}

// Run keeps the bound until ctx ends.
func (j *Janitor) Run(ctx context.Context) error {
	tick := time.NewTicker(j.opt.Every)
	defer tick.Stop()
	for {
		if err := j.round(ctx); err != nil && ctx.Err() == nil {
			j.warn("janitor: a round failed", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// warn logs, at most once in ten seconds.
func (j *Janitor) warn(what string, args ...any) {
	if time.Since(j.warned) > 10*time.Second {
		j.warned = time.Now()
		slog.Warn(what, args...)
	}
}

// round brings the memory below the low mark if it is above the high one.
func (j *Janitor) round(ctx context.Context) error {
	over, err := j.above(ctx, highMark)
	if err != nil || !over {
		return err
	}
	idle, err := j.threshold(ctx)
	if err != nil {
		return err
	}
	shards, start := j.log.Shards(), time.Now()
	for i, first := 0, rand.N(shards); i < shards; i++ {
		over, err := j.shard(ctx, (first+i)%shards, idle)
		if err != nil || !over {
			return err
		}
	}
	j.warn("janitor: redis stays above its mark although every idle item is cold",
		"used_bytes", j.used.Load(), "bound_bytes", j.limit.Load())
	return rest(ctx, min(9*time.Since(start), 2*time.Second))
}

// above reports whether Redis uses more than percent of the bound.
func (j *Janitor) above(ctx context.Context, percent int64) (over bool, err error) {
	err = within(ctx, func(ctx context.Context) error {
		m, err := j.log.Memory(ctx)
		if err != nil {
			return err
		}
		j.used.Store(m.Used)
		j.limit.Store(m.Bound(j.opt.Bound))
		over = m.Used > j.limit.Load()/100*percent
		return nil
	})
	return over, err
}

// sample is how many items tell how idle the others are.
const sample = 1024

// threshold is the idle time from which items are dropped, so that as many go as
// the memory asks for, and a quarter more.
func (j *Janitor) threshold(ctx context.Context) (time.Duration, error) {
	var all []time.Duration
	for shard := range j.log.Shards() {
		err := within(ctx, func(ctx context.Context) error {
			items, err := j.log.Some(ctx, shard, max(sample/j.log.Shards(), 1))
			if err != nil || len(items) == 0 {
				return err
			}
			uses, err := j.log.Uses(ctx, shard, items)
			for _, u := range uses {
				all = append(all, u.Idle)
			}
			return err
		})
		if err != nil {
			return 0, err
		}
	}
	if len(all) == 0 {
		return 0, nil
	}
	slices.Sort(all)
	keep := float64(j.limit.Load()) / 100 * lowMark / float64(j.used.Load())
	return all[int(keep*keep*float64(len(all)-1))], nil
}

// shard goes once through a shard's items, from where it stopped last, until
// Redis is below the low mark; over tells that it is not.
func (j *Janitor) shard(ctx context.Context, shard int, idle time.Duration) (over bool, err error) {
	for wrapped := false; ; {
		start := time.Now()
		err := within(ctx, func(ctx context.Context) error {
			items, next, err := j.log.Resident(ctx, shard, uint64(j.next[shard]))
			if err != nil {
				return err
			}
			j.next[shard] = cursor(next)
			return j.page(ctx, shard, items, idle)
		})
		if err == nil {
			over, err = j.above(ctx, lowMark)
		}
		if err == nil && over && j.used.Load() < j.limit.Load() {
			err = rest(ctx, 4*time.Since(start))
		}
		if err != nil || !over {
			return over, err
		}
		if j.next[shard] == 0 {
			if wrapped {
				return true, nil
			}
			wrapped = true
		}
	}
}

// leastMember is the least memory that a member of a large set takes, in bytes.
const leastMember = 40

// page drops idle items and shrinks large ones.
func (j *Janitor) page(ctx context.Context, shard int, items []string, idle time.Duration) error {
	if len(items) == 0 {
		return nil
	}
	uses, err := j.log.Uses(ctx, shard, items)
	if err != nil {
		return err
	}
	var drop []string
	most := int64(j.opt.SetMax)
	for i, item := range items {
		switch {
		case uses[i].Idle >= idle:
			drop = append(drop, item)
		case uses[i].Bytes > leastMember*most:
			n, err := j.log.Shrink(ctx, shard, item, most, most/2)
			j.forgotten.Add(n)
			if err != nil {
				return err
			}
		}
	}
	n, err := j.log.Evict(ctx, shard, drop)
	j.dropped.Add(int64(n))
	return err
}
