package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"
	"go.opentelemetry.io/otel/trace"

	"plusone/hotpath/like"
)

// Options are what a Server is made of. All of the first group but Limits and Beside are
// needed; a zero limit is its default.
type Options struct {
	Counter       Counter
	Lists         Lists
	Receipts      Receipts
	Notifications Notifications
	Identity      *Identity
	Limits        *Limits    // nil: nobody is limited
	Beside        Beside     // nil: there is nothing but the API
	Quota         like.Quota // that Counter goes by
	CursorSecret  []byte     // at least MinSecret bytes, the same in every process
	Log           *slog.Logger
	Metrics       prometheus.Registerer
	Tracer        trace.Tracer // nil: requests have no spans
	Trail         Trail        // with Tracer

	OpTimeout    time.Duration // of the stores for one request; 2 s
	ReadTimeout  time.Duration // of a whole request; 5 s
	WriteTimeout time.Duration // of an answer; 5 s
	IdleTimeout  time.Duration // between requests of a connection; 60 s
	MaxBody      int           // bytes; 1 MiB
	MaxHeader    int           // bytes of request line and headers, kept for each connection; 16 KiB
	MaxConns     int           // connections; 16384
	MaxInFlight  int           // requests being handled; 4096
	MaxStreams   int           // streams of counts, beside the connections; 10000
	StreamEvery  time.Duration // between two looks at what streams watch; 1 s
}

// Beside answers what none of our routes does, and reports whether it did. Nobody has
// looked who asks. The answer is kept by no cache.
type Beside func(*fasthttp.RequestCtx) bool

func (o Options) withDefaults() Options {
	def(&o.OpTimeout, 2*time.Second)
	def(&o.ReadTimeout, 5*time.Second)
	def(&o.WriteTimeout, 5*time.Second)
	def(&o.IdleTimeout, time.Minute)
	def(&o.MaxBody, 1<<20)
	def(&o.MaxHeader, 16<<10)
	def(&o.MaxConns, 16384)
	def(&o.MaxInFlight, 4096)
	def(&o.MaxStreams, 10_000)
	def(&o.StreamEvery, time.Second)
	return o
}

func def[T int | time.Duration](v *T, to T) {
	if *v == 0 {
		*v = to
	}
}

func (o Options) check() error {
	switch {
	case o.Counter == nil || o.Lists == nil || o.Receipts == nil || o.Notifications == nil:
		return errors.New("api: a store is missing")
	case o.Identity == nil || o.Log == nil || o.Metrics == nil:
		return errors.New("api: identity, log or metrics are missing")
	case len(o.CursorSecret) < MinSecret:
		return fmt.Errorf("api: the cursor secret has %d bytes, at least %d are needed", len(o.CursorSecret), MinSecret)
	case min(o.OpTimeout, o.ReadTimeout, o.WriteTimeout, o.IdleTimeout, o.StreamEvery) < 0,
		min(o.MaxBody, o.MaxHeader, o.MaxConns, o.MaxInFlight, o.MaxStreams) < 0:
		return errors.New("api: a limit is negative")
	}
	return nil
}

// Server answers the public listener.
type Server struct {
	counter       Counter
	lists         Lists
	receipts      Receipts
	notifications Notifications
	identity      *Identity
	limits        *Limits
	beside        Beside
	quotaPolicy   string
	vary          []byte // what Identity goes by
	cursors       cursors
	log           *slog.Logger
	metrics       *metrics
	tracer        trace.Tracer // nil: off
	trail         Trail

	opTimeout   time.Duration
	maxInFlight int64
	inFlight    atomic.Int64
	lastWarning atomic.Int64 // unix seconds; see report
	ids         *ids
	conns       *connections
	hub         *hub
	leaving     atomic.Bool // each answer is its connection's last
	closing     atomic.Bool
	http        *fasthttp.Server
	shortest    time.Duration  // of what is watched
	watch       sync.WaitGroup // of the connections, and of the streams
	ending      context.Context
	end         context.CancelFunc // of ending: streams end
}

// New makes a Server and registers its metrics; it starts nothing.
func New(o Options) (*Server, error) {
	o = o.withDefaults()
	if err := o.check(); err != nil {
		return nil, err
	}
	s := &Server{
		counter: o.Counter, lists: o.Lists, receipts: o.Receipts, notifications: o.Notifications,
		identity: o.Identity, vary: []byte(o.Identity.varies()), limits: o.Limits, beside: o.Beside, quotaPolicy: quotaPolicy(o.Quota), cursors: cursors{o.CursorSecret}, log: o.Log,
		tracer: o.Tracer, trail: o.Trail, opTimeout: o.OpTimeout, maxInFlight: int64(o.MaxInFlight), ids: newIDs(),
	}
	s.ending, s.end = context.WithCancel(context.Background())
	s.conns = newConnections(o.MaxConns, s.refuseConn)
	s.shortest = min(o.OpTimeout, o.ReadTimeout, o.WriteTimeout, o.IdleTimeout)
	s.hub = newHub(o, func(ctx context.Context, items []string) ([]like.Reading, error) {
		return o.Counter.Read(ctx, items, "")
	})
	m, err := newMetrics(o.Metrics, s.conns.count)
	if err := errors.Join(err, s.hub.register(o.Metrics)); err != nil {
		return nil, fmt.Errorf("api: register metrics: %w", err)
	}
	s.metrics = m
	s.http = &fasthttp.Server{
		Handler:            s.handle,
		ErrorHandler:       s.malformed,
		HeaderReceived:     lastIfChunked,
		Logger:             silence{},
		ReadTimeout:        o.ReadTimeout,
		WriteTimeout:       o.WriteTimeout,
		IdleTimeout:        o.IdleTimeout,
		MaxRequestBodySize: o.MaxBody,
		ReadBufferSize:     o.MaxHeader,
		// One more than the listener lets through, so that its text/plain refusal
		// is never seen.
		Concurrency:                  s.conns.limit() + 1,
		NoDefaultServerHeader:        true,
		DisablePreParseMultipartForm: true,
		SecureErrorLogMessage:        true, // headers hold credentials
		CloseOnShutdown:              true,
		KeepHijackedConns:            true, // streams are the hub's
	}
	return s, nil
}

// lastIfChunked closes the connection after a chunked request: a Content-Length
// beside it is hidden from us, and whoever stands in front may have believed that
// one and see another request in what follows.
func lastIfChunked(h *fasthttp.RequestHeader) (sameLimits fasthttp.RequestConfig) {
	if h.ContentLength() == -1 {
		h.SetConnectionClose()
	}
	return sameLimits
}

// Serve answers the connections of ln, which it closes, until Shutdown.
func (s *Server) Serve(ln net.Listener) error {
	defer func() { _ = ln.Close() }() // Shutdown has mostly done so
	stop := make(chan struct{})
	s.watch.Go(func() { s.conns.watch(s.shortest, stop) })
	s.watch.Go(func() { s.hub.run(s.ending) })
	defer close(stop)
	if err := s.http.Serve(&listener{ln, s.conns, &s.closing}); err != nil {
		return fmt.Errorf("api: serve %s: %w", ln.Addr(), err)
	}
	return nil
}

// unusedGrace is what a connection that has never sent anything gets to send
// its first request when the server is closing.
const unusedGrace = 500 * time.Millisecond

// leaveTime is how long clients that keep their connections busy have to be told
// that they end, before idle ones are closed: a connection that is closed while
// its next request is on the way costs the client an error.
const leaveTime = 300 * time.Millisecond

// Shutdown tells clients with their next answer that their connection ends, then
// stops accepting, answers every request that has been accepted, and returns
// when all connections are gone. When ctx is over first, the remaining ones are
// cut and its error is returned.
func (s *Server) Shutdown(ctx context.Context) error {
	s.leaving.Store(true)
	s.end()
	s.letLeave(ctx)
	s.closing.Store(true)
	unused := time.AfterFunc(unusedGrace, s.conns.closeUnused)
	defer unused.Stop()
	if err := s.http.ShutdownWithContext(ctx); err != nil {
		s.conns.closeAll()
		return fmt.Errorf("api: shut down: %w", err)
	}
	s.watch.Wait() // no connection is left
	return nil
}

// letLeave waits for leaveTime, or until no connection is open.
func (s *Server) letLeave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, leaveTime)
	defer cancel()
	look := time.NewTicker(leaveTime / 20)
	defer look.Stop()
	for s.conns.count() > 0 {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
	}
}

// silence drops fasthttp's own log lines, one for each malformed request, which
// quote headers and are said again: to malformed, or by Serve's error.
type silence struct{}

func (silence) Printf(string, ...any) {}
