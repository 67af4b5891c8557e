package counter

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type fenceMeter struct{ waits, switches prometheus.Counter }

func newFenceMeter(f *Fence) *fenceMeter {
	m := &fenceMeter{
		waits:    counterOf("plusone_fence_waits_total", "Batches that had to wait until the ledger said where to write."),
		switches: counterOf("plusone_mode_switches_total", "Changes between writing to Redis and to the ledger that this process has seen."),
	}
	if reg := f.opt.Metrics; reg != nil {
		reg.MustRegister(m.waits, m.switches,
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{
				Name: "plusone_redis_breaker_state", Help: "Whether Redis answers this process: 0 yes (closed), 1 perhaps again (half-open), 2 no (open).",
			}, f.breaker.state),
			f.writesTo("redis", toRedis), f.writesTo("ledger", toLedger), f.writesTo("nowhere", nowhere))
	}
	return m
}

// writesTo is 1 for the one store that takes writes now.
func (f *Fence) writesTo(store string, w way) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "plusone_writes_to", Help: "Where this process writes likes at present.",
		ConstLabels: prometheus.Labels{"store": store},
	}, func() float64 {
		if f.at(time.Now()).way == w {
			return 1
		}
		return 0
	})
}
