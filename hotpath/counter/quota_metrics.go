package counter

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// unitMeter counts units of quotas.
type unitMeter struct{ granted, refused, returned, expired prometheus.Counter }

func newUnitMeter(reg prometheus.Registerer) *unitMeter {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "plusone_quota_total",
		Help: "Units of quotas: granted; refused, there being none; returned by ops that did not use them; expired, nobody knowing whether they were used.",
	}, []string{"result"})
	if reg != nil {
		reg.MustRegister(v)
	}
	return &unitMeter{
		granted: v.WithLabelValues("granted"), refused: v.WithLabelValues("refused"),
		returned: v.WithLabelValues("returned"), expired: v.WithLabelValues("expired"),
	}
}

func (m *unitMeter) asked(granted, refused int, expired string) {
	m.granted.Add(float64(granted))
	m.refused.Add(float64(refused))
	n, _ := strconv.Atoi(expired) // it is what the script counted
	m.expired.Add(float64(n))
}
