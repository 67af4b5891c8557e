package reconcile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sys/unix"
)

const (
	slowCall = 10 * time.Millisecond
	tick     = 10 * time.Millisecond // in which the kernel counts stolen time
)

// slowWatch tells calls that kept Redis busy for more than slowCall from those
// during which it had no processor: the slow log counts both. A virtual machine
// is stopped by its host for 10 ms and more, see `redis-cli --intrinsic-latency`.
type slowWatch struct {
	*rig
	pid, processor int
	last           int64 // of the slow log's ids
	ours           int   // calls that took longer than the machine can explain
}

// watchSlow lets Redis go before everybody else on this machine, and on its last
// processor alone, where that is allowed. To keep the others away from there,
// start the test by `taskset -c 0`.
func (r *rig) watchSlow() *slowWatch {
	r.t.Helper()
	for name, value := range map[string]string{"slowlog-log-slower-than": fmt.Sprint(slowCall.Microseconds()), "slowlog-max-len": "1000"} {
		ok(r.t, r.rdb.ConfigSet(r.t.Context(), name, value).Err())
	}
	info, err := r.rdb.Info(r.t.Context(), "server").Result()
	ok(r.t, err)
	_, rest, _ := strings.Cut(info, "process_id:")
	text, _, _ := strings.Cut(rest, "\r")
	w := &slowWatch{rig: r, last: -1}
	w.pid, err = strconv.Atoi(text)
	ok(r.t, err)
	processors, err := filepath.Glob("/sys/devices/system/cpu/cpu[0-9]*") // NumCPU tells only of those that are ours
	ok(r.t, err)
	w.processor = len(processors) - 1
	var only unix.CPUSet
	only.Set(w.processor)
	if err := errors.Join(unix.SchedSetaffinity(w.pid, &only), unix.Setpriority(unix.PRIO_PROCESS, w.pid, -20)); err != nil {
		r.t.Logf("Redis shares the processors with others, so its slow log may tell of their work: %v", err)
	}
	return w
}

// run looks at new entries of the slow log, and at how much time was taken from
// Redis since the look before the last.
func (w *slowWatch) run(ctx context.Context) {
	// An entry ended since the look before this one, and began since the one before
	// that, or before: it held that look up. So little else is counted with it.
	before := w.taken()
	middle := before
	begun, last := time.Now(), time.Now()
	for ctx.Err() == nil {
		found, err := w.rdb.SlowLogGet(ctx, 20).Result()
		now, at := w.taken(), time.Now()
		if err == nil {
			w.note(found, now-before, at.Sub(begun))
		}
		before, middle, begun, last = middle, now, last, at
		select {
		case <-ctx.Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (w *slowWatch) note(found []redis.SlowLog, taken, of time.Duration) {
	for _, s := range found {
		if s.ID <= w.last {
			break // newest first
		}
		own := s.Duration - taken - tick // the last tick may not be counted yet
		if own > 0 {
			w.ours++
		}
		w.t.Logf("took %v; of %v around it %v without a processor: %.200s", s.Duration, of, taken, strings.Join(s.Args, " "))
	}
	if len(found) > 0 {
		w.last = found[0].ID
	}
}

// taken is how long, so far, the host kept Redis' processor and others ran on it
// while Redis was ready; 0 where the kernel does not tell, so that nothing is
// excused.
func (w *slowWatch) taken() time.Duration {
	stat, err := os.ReadFile("/proc/stat")
	_, line, found := strings.Cut(string(stat), fmt.Sprintf("\ncpu%d ", w.processor))
	delay, err2 := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/schedstat", w.pid, w.pid))
	fields, waits := strings.Fields(line), strings.Fields(string(delay))
	if err := cmp.Or(err, err2); err != nil || !found || len(fields) < 8 || len(waits) < 2 {
		return 0
	}
	stolen, err := strconv.Atoi(fields[7])
	waited, err2 := strconv.Atoi(waits[1])
	if cmp.Or(err, err2) != nil {
		return 0
	}
	return time.Duration(stolen)*tick + time.Duration(waited)
}

// judge asks that no call was slow by itself, and that of each kind one in a
// hundred was not near it; a kind that is rare is judged by its median.
func (w *slowWatch) judge(strict bool) {
	w.t.Helper()
	calls := w.stats("commandstats", "cmdstat_", "calls=")
	half, most := w.stats("latencystats", "latency_percentiles_usec_", "p50="), w.stats("latencystats", "latency_percentiles_usec_", "p99=")
	limit := float64(slowCall.Microseconds()) / 2
	for kind, us := range most {
		if us > limit/10 {
			w.t.Logf("%s: %.0f calls, median %.0f µs, one in a hundred %.0f µs", kind, calls[kind], half[kind], us)
		}
		if calls[kind] < 1000 {
			us = half[kind]
		}
		if strict && us > limit {
			w.t.Errorf("%s often takes %.0f µs", kind, us)
		}
	}
	if strict && w.ours > 0 {
		w.t.Errorf("%d calls took more than %v", w.ours, slowCall)
	}
}

// stats reads one figure of each kind of call from a section of INFO.
func (w *slowWatch) stats(section, prefix, figure string) map[string]float64 {
	w.t.Helper()
	info, err := w.rdb.Info(w.t.Context(), section).Result()
	ok(w.t, err)
	all := map[string]float64{}
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		_, text, is := strings.Cut(value, figure)
		if !is {
			continue
		}
		text, _, _ = strings.Cut(text, ",")
		n, err := strconv.ParseFloat(text, 64)
		ok(w.t, err)
		all[strings.TrimPrefix(name, prefix)] = n
	}
	return all
}
