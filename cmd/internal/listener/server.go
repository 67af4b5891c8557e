// Package listener is the internal listener, for operators and machines on this
// host: /livez, /readyz, /metrics, /tasks/ (the queues, read only), what an operator
// looks after (/sagas, /items, /dead-letters, /repairs, /revocations) and /debug/pprof/.
//
// Without a token it asks nobody who they are, so it listens on loopback only and
// refuses requests whose Host is a name that somebody else may own (DNS
// rebinding). With one, nobody is answered who does not show it, unless it is open to
// those who look. Either way it
// refuses what a page of another site sends, and changes nothing on any request,
// but what operators act on, for who shows a token and says why.
package listener

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"sync"
	"time"

	"github.com/hibiken/asynq"
	"github.com/hibiken/asynqmon"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"plusone/cmd/internal/console"
)

// Options are what the listener shows.
type Options struct {
	Listener net.Listener  // taken over
	Token    console.Token // that requests must show
	Open     bool          // who only looks need not show it
	Registry *prometheus.Registry
	Console  *console.Console // nil: there is none
	Queues   asynq.RedisConnOpt
	Checks   []Check
	Sagas    Sagas
	Items    Items
	Letters  Letters

	Revocations Revocations

	Log *slog.Logger
}

// Server is an internal listener.
type Server struct {
	http      *http.Server
	console   *console.Console
	listener  net.Listener
	inspector *asynq.Inspector
	dashboard *asynqmon.HTTPHandler
}

// CheckAddress refuses an address beyond this machine without a token. The empty
// host is every address of this machine, thus beyond it.
func CheckAddress(addr string, token console.Token) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("--internal-listen: %w", err)
	}
	if ip := net.ParseIP(host); token != nil || host == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	return fmt.Errorf("--internal-listen %s can be reached from other machines; use a loopback address, or set --internal-token", addr)
}

// New returns a Server whose Serve has to be called. /metrics shows o.Registry, and
// beside it process, runtime and queues.
func New(o Options) (*Server, error) {
	s := &Server{listener: o.Listener, console: o.Console, inspector: asynq.NewInspector(o.Queues)}
	around := prometheus.NewRegistry() // the console samples o.Registry often, and does not want these
	for _, c := range []prometheus.Collector{
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		newQueues(s.inspector),
	} {
		if err := around.Register(c); err != nil {
			return nil, errors.Join(fmt.Errorf("register metrics: %w", err), s.inspector.Close())
		}
	}
	s.dashboard = asynqmon.New(asynqmon.Options{
		RootPath: "/tasks", RedisConnOpt: o.Queues, ReadOnly: true,
		PayloadFormatter: asynqmon.PayloadFormatterFunc(formatPayload),
	})
	s.http = &http.Server{
		Handler:           guard(o.Token, o.Open, o.Console, routes(o, prometheus.Gatherers{o.Registry, around}, s.dashboard)),
		ErrorLog:          slog.NewLogLogger(o.Log.Handler(), slog.LevelWarn),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      2 * time.Minute, // a CPU profile takes its time
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
	return s, nil
}

func routes(o Options, metrics prometheus.Gatherer, dashboard http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", index)
	mux.HandleFunc("GET /livez", livez)
	mux.Handle("GET /readyz", ready(o.Checks))
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError, ErrorLog: slog.NewLogLogger(o.Log.Handler(), slog.LevelWarn),
	}))
	if o.Console != nil {
		dashboard = alike(dashboard)
	}
	mux.Handle("/tasks/", dashboard)
	addSagas(mux, o.Sagas)
	addItems(mux, o.Items)
	addLetters(mux, o.Letters)
	addRevocations(mux, o.Revocations)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}

// Serve answers until ctx ends, then lets running requests end for a moment.
// It returns nil when ctx ended.
func (s *Server) Serve(ctx context.Context) error {
	var beside sync.WaitGroup
	defer beside.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if s.console != nil {
		beside.Go(func() { s.console.Run(ctx) })
	}
	failed := make(chan error, 1) // one value, from the goroutine below
	go func() { failed <- s.http.Serve(s.listener) }()
	select {
	case err := <-failed:
		return errors.Join(fmt.Errorf("internal listener: %w", err), s.close())
	case <-ctx.Done():
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if s.http.Shutdown(ending) != nil {
		_ = s.http.Close() // somebody still reads a profile: they are cut off
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return errors.Join(fmt.Errorf("internal listener: %w", err), s.close())
	}
	return s.close()
}

func (s *Server) close() error {
	return errors.Join(s.inspector.Close(), s.dashboard.Close())
}
