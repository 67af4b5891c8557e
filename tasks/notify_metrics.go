package tasks

import "github.com/prometheus/client_golang/prometheus"

type notifyMetrics struct {
	delivered, failed, exhausted prometheus.Counter
	seconds                      prometheus.Histogram
	pending                      prometheus.Gauge
}

func newNotifyMetrics(reg prometheus.Registerer) *notifyMetrics {
	results := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "plusone_notifications_total",
		Help: "Delivery attempts by result: delivered, failed (tried again later), exhausted (failed for good).",
	}, []string{"result"})
	m := &notifyMetrics{
		delivered: results.WithLabelValues("delivered"),
		failed:    results.WithLabelValues("failed"),
		exhausted: results.WithLabelValues("exhausted"),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "plusone_notification_delivery_seconds",
			Help:    "Duration of delivery attempts, whatever their result.",
			Buckets: prometheus.ExponentialBuckets(0.005, 2.5, 10),
		}),
		pending: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "plusone_notifications_pending",
			Help: "Deliveries neither delivered nor exhausted, over all processes; counted up to 100000.",
		}),
	}
	reg.MustRegister(results, m.seconds, m.pending)
	return m
}

// count counts a recorded attempt, unless somebody else has recorded it.
func (m *notifyMetrics) count(news bool, result prometheus.Counter) {
	if news {
		result.Inc()
	}
}
