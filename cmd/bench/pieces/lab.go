package pieces

import (
	"context"
	"time"

	"plusone/cmd/bench/load"
	"plusone/cmd/bench/stage"
)

// Settings are what all pieces have in common.
type Settings struct {
	Seconds float64 // that are measured of each load
	Conns   int     // of the loads that look for a maximum
	Items   int     // that likes are spread over, log-uniformly
	Most    uint64  // likes of the pieces that need many stored
	Seed    uint64
}

func (s Settings) time() time.Duration { return time.Duration(s.Seconds * float64(time.Second)) }

// Lab runs pieces. Its methods are for one goroutine.
type Lab struct {
	Settings
	Hall *stage.Hall
	last map[string]Figures // of each piece, the last ones
}

// NewLab runs pieces in a hall.
func NewLab(h *stage.Hall, s Settings) *Lab {
	return &Lab{Settings: s, Hall: h, last: map[string]Figures{}}
}

// Piece is one measurement.
type Piece struct {
	Name string
	What string // what it does, for the reader of a table
	Long bool   // measured in the first round only
	Full bool   // left out of quick runs
	// After is a piece of the same round whose rate this one needs.
	After string
	run   func(context.Context, *Lab) (Figures, error)
}

// Run measures a piece.
func (l *Lab) Run(ctx context.Context, p *Piece) (Figures, error) {
	f, err := p.run(ctx, l)
	if err == nil {
		l.last[p.Name] = f
	}
	return f, err
}

// Names of figures. Times are in microseconds, memory in bytes, CPU times are per
// op that was acknowledged.
const (
	PerSecond = "per_second"
	P50       = "p50_us"
	P90       = "p90_us"
	P99       = "p99_us"
	P999      = "p999_us"
	CPUAll    = "cpu_us"  // of all processes and the load
	CPUOf     = "cpu_us_" // and the process' name
	RSSMiB    = "rss_mib" // of the API, at the end of its load
	// MainThread is the CPU time of Redis' main thread alone.
	MainThread = "redis_main_thread_us"
)

// Figures are what one run of a piece came to.
type Figures struct {
	Values  map[string]float64 `json:"values"`
	Curve   []load.Quantile    `json:"latency_us,omitempty"`
	Samples []Sample           `json:"samples,omitempty"`
	Counted string             `json:"counted"` // how what is stored was checked
}

// Sample is a moment of a run.
type Sample struct {
	Seconds   float64 `json:"s"`
	Acked     uint64  `json:"acked"`
	Persisted uint64  `json:"persisted,omitempty"`
	Log       int64   `json:"log,omitempty"` // entries
	API       int64   `json:"api_bytes,omitempty"`
	Redis     int64   `json:"redis_bytes,omitempty"`
}

// warmUp is the least time before what is measured: items are cold when a stage is
// empty.
const warmUp = 300 * time.Millisecond

// plan is the load that looks for a maximum: closed loop.
func (l *Lab) plan(addr string, kind load.Kind) load.Plan {
	return load.Plan{
		Addr: addr, Kind: kind, Ops: 1, Conns: l.Conns, Threads: 1,
		Warm: warmUp + l.time()/4, For: l.time(), Items: l.Items, Spread: load.LogUniform,
		FirstUser: 1e9, Key: stage.Key, Seed: l.Seed,
	}
}

// tell turns a load's result into figures.
func tell(r load.Result, used map[string]time.Duration) Figures {
	f := Figures{Values: map[string]float64{
		PerSecond: r.PerSecond(), P50: r.Latency.P50, P90: r.Latency.P90, P99: r.Latency.P99, P999: r.Latency.P999,
	}, Curve: r.Latency.Curve}
	for name, d := range used {
		f.Values[CPUOf+name] = micros(d) / max(1, float64(r.Ops))
		f.Values[CPUAll] += f.Values[CPUOf+name]
	}
	return f
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// PostgresSettings are what Postgres has for every piece.
func PostgresSettings() []string { return stage.PostgresSettings }
