package load

import (
	"errors"
	"fmt"
	"time"
)

// Kind is what is asked for.
type Kind string

// The kinds.
const (
	Put  Kind = "put"  // PUT /v1/items/{item}/like
	Get  Kind = "get"  // GET /v1/items/{item}, the count alone
	Mine Kind = "mine" // the same, and whether the user likes it
	Many Kind = "many" // GET /v1/items?id=…, counts and what the user likes
	Bulk Kind = "bulk" // POST /v1/likes
)

// Spread is how items are drawn.
type Spread string

// The spreads.
const (
	LogUniform Spread = "log"     // item k as often as 1/k: a few are hot
	Uniform    Spread = "uniform" // all alike
)

// Plan is one load.
type Plan struct {
	Addr    string
	Kind    Kind
	Ops     int // of one Bulk, items of one Many; else 1
	Conns   int
	Threads int
	Rate    float64 // requests per second; 0: closed loop

	Warm time.Duration // before the time that is measured
	For  time.Duration // that is measured

	Items     int
	Spread    Spread
	UUIDs     bool   // users are UUIDs, not numbers
	FirstUser uint64 // users are counted up from here; each op has one of its own
	Most      uint64 // ops, then the load ends early; 0: no bound
	Key       string // server key, for Bulk
	Seed      uint64
}

// Check tells what is wrong with a plan.
func (p Plan) Check() error {
	switch {
	case p.Conns < 1 || p.Threads < 1 || p.Threads > p.Conns || p.Ops < 1:
		return fmt.Errorf("load: %d connections, %d threads, %d ops", p.Conns, p.Threads, p.Ops)
	case p.Items < 1 || p.Items >= 1e7:
		return fmt.Errorf("load: %d items", p.Items)
	case p.Kind != Bulk && p.Kind != Many && p.Ops != 1:
		return errors.New("load: only Bulk and Many have several ops")
	}
	return nil
}

// Progress is how far a load is; its first is zero.
type Progress struct {
	At    time.Duration // since the load began to send
	Acked uint64        // ops
}

// Result is what a load tells at its end. Acked, Unknown and Refused count ops of
// the whole load, the rest is of the measured time.
type Result struct {
	Acked   uint64 // answered 200
	Unknown uint64 // sent and not answered, or answered that nobody knows
	Refused uint64 // answered otherwise
	Codes   map[int]uint64

	Requests uint64 // answered 200 in the measured time
	Ops      uint64
	Took     time.Duration
	CPU      time.Duration // of this process
	Latency  Latency
}

// PerSecond is the rate of acknowledged ops.
func (r Result) PerSecond() float64 { return float64(r.Ops) / r.Took.Seconds() }

// Latency is in microseconds.
type Latency struct {
	P50, P90, P99, P999, Max float64
	Curve                    []Quantile // for a plot
}

// Quantile is one point of a latency curve.
type Quantile struct{ Q, Micros float64 }
