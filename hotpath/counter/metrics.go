package counter

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// meter is what the counter tells of itself.
type meter struct {
	seconds      prometheus.Histogram
	ops          prometheus.Histogram
	refused      prometheus.Counter
	opened       prometheus.Counter
	closedShards prometheus.Counter
	items        prometheus.Counter
	likers       prometheus.Counter
	partly       prometheus.Counter
	lookups      prometheus.Counter
	directOps    *prometheus.CounterVec
	units        *unitMeter // nil: there is no quota
}

func newMeter(c *Counter) *meter {
	m := &meter{
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "plusone_script_duration_seconds", Help: "Time of one pipeline of like scripts.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2, 14),
		}),
		ops: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "plusone_batch_ops", Help: "Ops that one pipeline carried.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 13),
		}),
		refused:      counterOf("plusone_damaged_ops_total", "Ops refused because what is stored of their item is damaged."),
		opened:       counterOf("plusone_shards_opened_total", "Shards opened."),
		closedShards: counterOf("plusone_shards_closed_total", "Shards closed because their log was behind the ledger."),
		items:        counterOf("plusone_hydrated_items_total", "Cold items loaded from the ledger."),
		likers:       counterOf("plusone_hydrated_likers_total", "Likers of cold items loaded from the ledger."),
		partly:       counterOf("plusone_hydrated_partly_total", "Cold items of which only the count was loaded, for their size."),
		lookups:      counterOf("plusone_liker_lookups_total", "Users looked up in the ledger for partly resident items."),
		directOps: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "plusone_direct_ops_total", Help: "Ops sent straight to the ledger, by whether the transaction was committed.",
		}, []string{"result"}),
	}
	if reg := c.opt.Metrics; reg != nil {
		reg.MustRegister(m.directOps, m.seconds, m.ops, m.refused, m.opened, m.closedShards, m.items, m.likers, m.partly, m.lookups,
			waiting("ops", c.writes.len), waiting("reads", c.reads.len), waiting("votes", c.votes.len), waiting("errands", c.warm.queue.len), waiting("lookups", c.learn.queue.len))
	}
	if c.opt.Quota.IsOn() {
		m.units = newUnitMeter(c.opt.Metrics)
	}
	return m
}

func counterOf(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
}

func waiting(queue string, n func() int) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "plusone_waiting", Help: "What waits in the counter's queues.",
		ConstLabels: prometheus.Labels{"queue": queue},
	}, func() float64 { return float64(n()) })
}

func (m *meter) sent(ops int, took time.Duration) {
	m.seconds.Observe(took.Seconds())
	m.ops.Observe(float64(ops))
}

func (m *meter) direct(ops int, err error) {
	result := "committed"
	if err != nil {
		result = "failed"
	}
	m.directOps.WithLabelValues(result).Add(float64(ops))
}

func (m *meter) loaded(l *loan) {
	m.items.Inc()
	m.likers.Add(float64(l.n))
	if l.partly {
		m.partly.Inc()
	}
}
