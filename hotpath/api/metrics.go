package api

import (
	"errors"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"plusone/hotpath/like"
)

// metrics count by route, method, status and result; users, items and paths are
// no labels. Children are looked up once and kept.
type metrics struct {
	requests  *prometheus.CounterVec
	kept      [][]atomic.Pointer[prometheus.Counter] // [route][method × status]
	durations []prometheus.Observer                  // [route]

	ops                *prometheus.CounterVec
	changed, unchanged prometheus.Counter
	votes              *prometheus.CounterVec
}

// methods and statuses are the labels that have a place in kept; the first
// method stands for all others.
var (
	methods  = []string{"other", "GET", "HEAD", "PUT", "DELETE", "POST", "OPTIONS"}
	statuses = func() []int {
		all := []int{200, 204, 304, internal.status}
		for _, r := range table {
			if r.status != all[len(all)-1] {
				all = append(all, r.status)
			}
		}
		return all
	}()
)

func newMetrics(to prometheus.Registerer, conns func() int) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "plusone_http_requests_total", Help: "Requests answered on the public listener.",
		}, []string{"route", "method", "code"}),
		ops: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "plusone_ops_total", Help: "Likes and unlikes by what became of them: changed, unchanged or an error's code.",
		}, []string{"result"}),
		votes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "plusone_votes_total", Help: "Calls about votes by what they answered: counted, refunded or an error's code.",
		}, []string{"result"}),
	}
	durations := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "plusone_http_request_duration_seconds", Help: "Time from a request's arrival to its answer.",
		Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
	}, []string{"route"})
	connections := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "plusone_http_connections", Help: "Open connections of the public listener.",
	}, func() float64 { return float64(conns()) })

	for _, r := range routes {
		m.kept = append(m.kept, make([]atomic.Pointer[prometheus.Counter], len(methods)*len(statuses)))
		m.durations = append(m.durations, durations.WithLabelValues(r.pattern))
	}
	m.changed, m.unchanged = m.ops.WithLabelValues("changed"), m.ops.WithLabelValues("unchanged")
	for _, err := range []error{like.ErrBusy, like.ErrUnavailable, like.ErrUnknown} {
		m.ops.WithLabelValues(explain(err).code)
	}
	return m, errors.Join(to.Register(m.requests), to.Register(m.ops), to.Register(m.votes), to.Register(durations), to.Register(connections))
}

// answered counts an answer.
func (m *metrics) answered(r *route, method []byte, status int) {
	i := place(methods, string(method))
	name := methods[i]
	at := &m.kept[r.index][i*len(statuses)+place(statuses, status)]
	c := at.Load()
	if c == nil {
		child := m.requests.WithLabelValues(r.pattern, name, strconv.Itoa(status))
		c = &child
		at.Store(c)
	}
	(*c).Inc()
}

// place is where v stands, or 0.
func place[T comparable](all []T, v T) int {
	for i, x := range all {
		if x == v {
			return i
		}
	}
	return 0
}

func (m *metrics) took(r *route, d time.Duration) { m.durations[r.index].Observe(d.Seconds()) }

// applied counts what became of one op.
func (m *metrics) applied(r *like.Result) {
	switch {
	case r.Err != nil:
		m.failed(r.Err, 1)
	case r.Changed:
		m.changed.Inc()
	default:
		m.unchanged.Inc()
	}
}

// failed counts n ops that an error kept from being applied, as far as is known.
func (m *metrics) failed(err error, n int) {
	m.ops.WithLabelValues(explain(err).code).Add(float64(n))
}

// voted counts an answer about a vote.
func (m *metrics) voted(result string) { m.votes.WithLabelValues(result).Inc() }
