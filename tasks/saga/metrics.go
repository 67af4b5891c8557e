package saga

import (
	"github.com/prometheus/client_golang/prometheus"

	"plusone/tasks/ledger"
)

type metrics struct {
	open   *prometheus.GaugeVec
	oldest prometheus.Gauge
	stuck  prometheus.Gauge
	ended  *prometheus.CounterVec
	calls  *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		open: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "plusone_sagas", Help: "Sagas that have not ended, by state, over all processes; counted up to 100000.",
		}, []string{"state"}),
		oldest: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "plusone_saga_oldest_age_seconds", Help: "Age of the oldest saga that is pending or compensating; 0 when there is none.",
		}),
		stuck: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "plusone_saga_stuck", Help: "Sagas whose compensation failed too often: they wait for an operator.",
		}),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "plusone_sagas_ended_total", Help: "Sagas that this process ended, by state.",
		}, []string{"state"}),
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "plusone_saga_calls_total",
			Help: "Steps that participants were asked for, by result: done, rejected, retry (they said so, or not enough), failed (no answer).",
		}, []string{"participant", "result"}),
	}
	reg.MustRegister(m.open, m.oldest, m.stuck, m.ended, m.calls)
	return m
}

func (m *metrics) moved(to ledger.Recorded) {
	for _, state := range []string{ledger.SagaDone, ledger.SagaCompensated, ledger.SagaStuck} {
		if n := to[state]; n > 0 {
			m.ended.WithLabelValues(state).Add(float64(n))
		}
	}
}

func (m *metrics) called(participant, result string, failed error) {
	if failed != nil {
		result = "failed"
	}
	m.calls.WithLabelValues(participant, result).Inc()
}

func (m *metrics) gauge(g ledger.SagaGauge) {
	for _, state := range []string{ledger.SagaPending, ledger.SagaCompensating, ledger.SagaStuck} {
		m.open.WithLabelValues(state).Set(float64(g.Open[state]))
	}
	m.stuck.Set(float64(g.Open[ledger.SagaStuck]))
	m.oldest.Set(g.Oldest.Seconds())
}
