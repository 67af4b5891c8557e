package main

import (
	"context"
	"fmt"
	"time"

	"plusone/cmd/chaos/house"
	"plusone/cmd/chaos/report"
)

// monitor watches the processes while the load runs. Its fields are read after
// run has ended.
type monitor struct {
	house      *house.House
	goroutines map[string]int // by process, before the load
	redis, pg  int            // connections, before the load
	memory     map[string]*life
}

// life is the memory of a process from its tenth second to its end.
type life struct {
	name        string
	since       time.Time
	early, late int64
	last        time.Time
}

// grown is when a process' memory counts as that of a process at work.
const grown = 10 * time.Second

func newMonitor(ctx context.Context, h *house.House) (m *monitor, err error) {
	m = &monitor{house: h, goroutines: map[string]int{}, memory: map[string]*life{}}
	for _, p := range h.All {
		if m.goroutines[p.Name], err = p.Goroutines(ctx); err != nil {
			return nil, err
		}
	}
	m.redis, m.pg, err = h.Connections(ctx)
	return m, err
}

// run samples the logs at every step of the timeline, and memory each second.
func (m *monitor) run(ctx context.Context, t *report.Timeline) {
	tick := time.NewTicker(report.Step)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		looking, cancel := context.WithTimeout(ctx, report.Step)
		if n, err := m.house.LogLength(looking); err == nil {
			t.Log(time.Now(), n)
		}
		cancel()
		if i%10 == 0 {
			m.weigh()
		}
	}
}

func (m *monitor) weigh() {
	for _, p := range m.house.All {
		pid, since := p.Running()
		rss := house.RSS(pid)
		if pid == 0 || rss == 0 || time.Since(since) < grown {
			continue
		}
		key := fmt.Sprint(p.Name, pid)
		l := m.memory[key]
		if l == nil {
			l = &life{name: p.Name, since: since, early: rss}
			m.memory[key] = l
		}
		l.late, l.last = rss, time.Now()
	}
}
