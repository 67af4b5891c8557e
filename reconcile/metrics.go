package reconcile

import "github.com/prometheus/client_golang/prometheus"

// meter is what the reconciler tells of itself.
type meter struct {
	drift    *prometheus.CounterVec
	repaired *prometheus.CounterVec
	items    prometheus.Counter
	pairs    prometheus.Counter
	skipped  prometheus.Counter
	frozen   prometheus.Gauge
}

func newMeter(reg prometheus.Registerer) *meter {
	m := &meter{
		drift: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "plusone_drift_found_total", Help: "Differences between counter and ledger that no pending change explains.",
		}, []string{"side", "cause"}),
		repaired: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "plusone_drift_repaired_total", Help: "Differences repaired.",
		}, []string{"side", "cause"}),
		items: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "plusone_reconciled_items_total", Help: "Resident items compared with the ledger.",
		}),
		pairs: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "plusone_reconciled_pairs_total", Help: "Pairs of user and item compared.",
		}),
		skipped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "plusone_reconcile_skipped_total", Help: "Shards that could not be compared when it was their turn.",
		}),
		frozen: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "plusone_frozen_items", Help: "Items that an operator has frozen.",
		}),
	}
	for _, d := range []Drift{
		{Side: InCounter, Cause: CauseSetLost},
		{Side: InCounter, Cause: CauseUnlikeLost},
		{Side: InLedger, Cause: CauseLedgerLost},
		{Side: InCounter, Cause: CauseBadID},
		{Side: InCounter, Cause: CauseSetCount},
		{Side: InCounter, Cause: CauseSetBroken},
		{Side: InLedger, Cause: CauseLedgerCount},
	} {
		m.touch(d)
	}
	if reg != nil {
		reg.MustRegister(m.drift, m.repaired, m.items, m.pairs, m.skipped, m.frozen)
	}
	return m
}

// slugs are the causes as label values.
var slugs = map[string]string{
	CauseSetLost: "set_lost_like", CauseLedgerLost: "ledger_lost_like", CauseUnlikeLost: "set_lost_unlike",
	CauseSetCount: "set_count", CauseSetBroken: "set_broken", CauseBadID: "bad_id", CauseLedgerCount: "ledger_count",
}

// touch makes a series exist before its first finding, so that rates over it
// are right.
func (m *meter) touch(d Drift) {
	m.drift.WithLabelValues(string(d.Side), slugs[d.Cause])
	m.repaired.WithLabelValues(string(d.Side), slugs[d.Cause])
}

func (m *meter) found(d Drift) {
	m.drift.WithLabelValues(string(d.Side), slugs[d.Cause]).Inc()
	if d.Repaired {
		m.repaired.WithLabelValues(string(d.Side), slugs[d.Cause]).Inc()
	}
}
