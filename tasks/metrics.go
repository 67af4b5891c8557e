package tasks

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type drainMetrics struct {
	rows     prometheus.Counter
	sizes    prometheus.Histogram
	duration prometheus.Histogram
	letters  prometheus.Counter
}

func newDrainMetrics(reg prometheus.Registerer) drainMetrics {
	m := drainMetrics{
		rows: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "plusone_drained_rows_total", Help: "Rows that drains wrote into the ledger.",
		}),
		sizes: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "plusone_drain_batch_rows", Help: "Pairs in a drain's transaction.",
			Buckets: prometheus.ExponentialBuckets(1, 4, 8),
		}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "plusone_drain_duration_seconds", Help: "Time of one drain transaction, empty ones included.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 14),
		}),
		letters: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "plusone_dead_letters_total", Help: "Changes that the ledger refused for good.",
		}),
	}
	reg.MustRegister(m.rows, m.sizes, m.duration, m.letters)
	return m
}

func (m drainMetrics) took(since time.Time) { m.duration.Observe(time.Since(since).Seconds()) }

func (m drainMetrics) moved(size int, written int64, letters int) {
	m.sizes.Observe(float64(size))
	m.rows.Add(float64(written))
	m.letters.Add(float64(letters))
}

// logMetrics are what a sweep sees of each shard's log.
type logMetrics struct{ entries, age, lag *prometheus.GaugeVec }

func newLogMetrics(reg prometheus.Registerer) logMetrics {
	gauge := func(name, help string) *prometheus.GaugeVec {
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, []string{"shard"})
		reg.MustRegister(g)
		return g
	}
	return logMetrics{
		entries: gauge("plusone_log_entries", "Entries in the log, drained ones that are pinned included."),
		age:     gauge("plusone_log_oldest_age_seconds", "Age of the log's oldest entry; 0 when it is empty."),
		lag:     gauge("plusone_drain_lag_seconds", "Age of the oldest entry that is not in the ledger; 0 when all are."),
	}
}

func (m logMetrics) set(shard int, entries int64, age, lag time.Duration) {
	s := strconv.Itoa(shard)
	m.entries.WithLabelValues(s).Set(float64(entries))
	m.age.WithLabelValues(s).Set(age.Seconds())
	m.lag.WithLabelValues(s).Set(lag.Seconds())
}
