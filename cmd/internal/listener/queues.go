package listener

import (
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/hibiken/asynq"
	"github.com/prometheus/client_golang/prometheus"
)

// queues collects what asynq's inspector tells at each scrape. A queue whose
// state cannot be read has plusone_queue_up 0 and nothing else, and takes no
// other metric with it.
type queues struct {
	inspector                                           *asynq.Inspector
	up, tasks, latency, memory, paused, processed, lost *prometheus.Desc
}

func newQueues(i *asynq.Inspector) *queues {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName("plusone", "queue", name), help, append([]string{"queue"}, labels...), nil)
	}
	return &queues{
		inspector: i,
		up:        desc("up", "Whether the queue's state could be read."),
		tasks:     desc("tasks", "Tasks in the queue, by state.", "state"),
		latency:   desc("latency_seconds", "Age of the oldest pending task."),
		memory:    desc("memory_bytes", "Memory of the queue in Redis, estimated."),
		paused:    desc("paused", "Whether the queue is paused."),
		processed: desc("processed_total", "Tasks that were run, whatever came of it."),
		lost:      desc("failed_total", "Runs of tasks that ended in an error."),
	}
}

// Describe implements prometheus.Collector.
func (q *queues) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{q.up, q.tasks, q.latency, q.memory, q.paused, q.processed, q.lost} {
		ch <- d
	}
}

// Collect implements prometheus.Collector. A Redis that does not answer leaves
// the queues out; /readyz tells of it.
func (q *queues) Collect(ch chan<- prometheus.Metric) {
	names, err := q.inspector.Queues()
	if err != nil {
		return
	}
	for _, name := range names {
		info, err := q.inspector.GetQueueInfo(name)
		if err != nil {
			ch <- prometheus.MustNewConstMetric(q.up, prometheus.GaugeValue, 0, name)
			continue
		}
		q.collect(ch, info)
	}
}

func (q *queues) collect(ch chan<- prometheus.Metric, i *asynq.QueueInfo) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, append([]string{i.Queue}, labels...)...)
	}
	counter := func(d *prometheus.Desc, v int) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), i.Queue)
	}
	gauge(q.up, 1)
	for state, n := range map[string]int{
		"pending": i.Pending, "active": i.Active, "scheduled": i.Scheduled, "retry": i.Retry,
		"archived": i.Archived, "completed": i.Completed, "aggregating": i.Aggregating,
	} {
		gauge(q.tasks, float64(n), state)
	}
	gauge(q.latency, i.Latency.Seconds())
	gauge(q.memory, float64(i.MemoryUsage))
	paused := 0.0
	if i.Paused {
		paused = 1
	}
	gauge(q.paused, paused)
	counter(q.processed, i.ProcessedTotal)
	counter(q.lost, i.FailedTotal)
}

// formatPayload shows a task's payload: text as it is, anything else quoted.
func formatPayload(_ string, payload []byte) string {
	const most = 4 << 10
	switch {
	case len(payload) == 0:
		return "(empty)"
	case len(payload) > most:
		return fmt.Sprintf("%s … (%d bytes)", strconv.QuoteToASCII(string(payload[:most])), len(payload))
	case utf8.Valid(payload):
		return string(payload)
	default:
		return strconv.QuoteToASCII(string(payload))
	}
}
