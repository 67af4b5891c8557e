package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"plusone/cmd/internal/console"
	"plusone/cmd/internal/doctor"
	"plusone/cmd/internal/listener"
	"plusone/cmd/internal/order"
	"plusone/cmd/internal/settings"
	"plusone/cmd/internal/stores"
	"plusone/cmd/internal/telemetry"
	"plusone/hotpath/counter"
	"plusone/reconcile"
	"plusone/tasks"
	"plusone/tasks/ledger"
)

// process is what every serving command has: the stores, opened and checked, and
// the parts that its roles add. Parts end in the reverse of the order in which
// they were added:
//
//	internal ─ fence ─ bell ─ worker's parts ─ reconciler ─ counter ─ API
type process struct {
	log      *slog.Logger
	role     string // as the command is called
	tuning   settings.Tuning
	redis    *stores.Redis
	pool     *pgxpool.Pool
	ledger   *ledger.Ledger
	layout   ledger.Layout
	watch    *pgxpool.Pool  // the fence's own, so that nothing else keeps it waiting
	fence    *counter.Fence // says where likes are written
	direct   bool           // this process can do without Redis
	returns  bool           // it takes writes back to Redis
	compares *reconcile.Reconciler
	inForce  settings.Table  // what it was started with
	exam     doctor.Settings // the same, for an examination
	open     bool            // the internal listener wants its token of those who act alone
	logs     *counter.Log
	queue    *tasks.Queue
	bell     *tasks.Bell
	tracer   trace.Tracer // nil: traces are off
	trail    *tasks.Trail
	registry *prometheus.Registry
	checks   []listener.Check
	parts    []order.Part
}

// poolConns is how many Postgres connections a process may use, unless its URL
// says another number: a worker drains up to 16 shards at once.
const poolConns = 24

// watchConns is how many more the fence has.
const watchConns = 2

// endTime bounds how long one part may take to finish what it has begun.
const endTime = 15 * time.Second

// missing turns the names of missing settings into an error.
func missing(names []string) error {
	if len(names) == 0 {
		return nil
	}
	return usage("missing %s; this command uses the stores that it is given and no others (plusone dev brings its own)",
		strings.Join(names, " and "))
}

// open opens the stores and refuses an older schema or another number of shards.
func open(ctx context.Context, log *slog.Logger, s settings.Stores, role string) (_ *process, err error) {
	if err := missing(s.Missing()); err != nil {
		return nil, err
	}
	if err := s.Tuning.Contradiction(); err != nil {
		return nil, usage("%w", err)
	}
	p := &process{log: log, role: role, tuning: s.Tuning, registry: prometheus.NewRegistry()}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	if p.redis, err = stores.DialRedis(s.RedisURL); err != nil {
		return nil, err
	}
	away := p.redis.Check(ctx, s.Unsafe)
	if away != nil && !errors.Is(away, stores.ErrAway) {
		return nil, away
	}
	if p.pool, err = stores.OpenPostgres(ctx, s.PostgresURL, stores.PostgresOptions{Conns: poolConns}); err != nil {
		return nil, errors.Join(away, err)
	}
	p.ledger = ledger.New(p.pool).With(s.ParticipantNames())
	if err := p.checkLedger(ctx, int(s.Shards)); err != nil {
		return nil, err
	}
	fence := counter.FenceOptions{Role: role, Metrics: p.registry}
	if away != nil {
		if err := p.goOnWithout(ctx, away); err != nil {
			return nil, err
		}
		fence.Fit = func(ctx context.Context) error { return p.redis.Check(ctx, s.Unsafe) }
	}
	if p.watch, err = stores.OpenPostgres(ctx, s.PostgresURL, stores.PostgresOptions{Conns: watchConns}); err != nil {
		return nil, err
	}
	if err := p.startTraces(ctx); err != nil {
		return nil, err
	}
	p.fence = counter.NewFence(p.redis.Universal(), ledger.New(p.watch), fence)
	p.add("fence", p.fence.Run)
	p.logs = counter.NewLog(p.redis.Client(), p.layout.Shards).Behind(p.fence)
	if p.tracer != nil {
		p.trail = tasks.NewTrail(p.tracer, p.logs)
	}
	p.queue = tasks.NewQueue(p.redis.Client())
	p.bell = tasks.NewBell(p.queue, p.registry)
	p.add("doorbell", p.bell.Run)
	return p, nil
}

// startTraces starts what sends traces, if they are wanted: first, so that it ends
// last.
func (p *process) startTraces(ctx context.Context) error {
	on, err := telemetry.IsOn(os.Getenv)
	if err != nil {
		return usage("%w", err)
	}
	if !on {
		return nil
	}
	traces, err := telemetry.Start(ctx, p.role, thisBuild().Version)
	if err != nil {
		return usage("%w", err)
	}
	p.tracer = traces.Tracer()
	p.add("traces", traces.Run)
	return nil
}

// goOnWithout decides whether to start although Redis is away: only beside a
// ledger that has taken likes before. Otherwise it is the first start, and more
// likely that the URL is wrong.
func (p *process) goOnWithout(ctx context.Context, away error) error {
	ctx, cancel := context.WithTimeout(ctx, endTime)
	defer cancel()
	used, err := p.ledger.Used(ctx)
	if err != nil || !used {
		return errors.Join(away, err)
	}
	p.log.WarnContext(ctx, "starting without Redis: likes wait for it, or go to Postgres if nobody reaches it", "error", away)
	return nil
}

// checkLedger refuses a ledger that is not this binary's, and reads its layout.
func (p *process) checkLedger(ctx context.Context, shards int) (err error) {
	ctx, cancel := context.WithTimeout(ctx, endTime)
	defer cancel()
	if err := p.ledger.CheckSchema(ctx); err != nil {
		return err
	}
	p.layout, err = p.ledger.Layout(ctx, shards)
	if errors.Is(err, ledger.ErrShardsDiffer) {
		return fmt.Errorf("%w; set --shards=%d", err, p.layout.Shards)
	}
	return err
}

func (p *process) add(name string, run func(context.Context) error) {
	p.parts = append(p.parts, order.Part{Name: name, Run: run})
}

// run opens the internal listener, runs all parts until ctx ends, and closes
// the stores.
func (p *process) run(ctx context.Context, inside net.Listener, o settings.Internal) error {
	checks := append(p.storeChecks(), p.checks...)
	server, err := listener.New(listener.Options{
		Listener: inside, Token: console.Token(o.InternalToken), Open: p.open, Registry: p.registry, Console: p.console(o, checks),
		Queues: p.redis.Queues(), Checks: checks, Sagas: p.ledger, Items: p.items(), Letters: p.ledger, Revocations: p.ledger, Log: p.log,
	})
	if err != nil {
		return err
	}
	internal := order.Part{Name: "internal listener", Run: server.Serve}
	err = order.Run(ctx, append([]order.Part{internal}, p.parts...)...)
	if err == nil {
		p.log.InfoContext(ctx, "all parts have ended")
	}
	return err
}

// served is the end of what runs until ctx does: the signal may come while it starts.
func served(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// addReturner adds what takes writes back to Redis, once.
func (p *process) addReturner() {
	if p.returns {
		return
	}
	p.returns = true
	p.add("returner", reconcile.NewReturner(p.logs, p.ledger, p.fence, func(shard int) { p.bell.Ring(shard) }).Run)
}

// close closes what open opened.
func (p *process) close() {
	for _, pool := range []*pgxpool.Pool{p.watch, p.pool} {
		if pool != nil {
			pool.Close()
		}
	}
	if p.redis == nil {
		return
	}
	if err := p.redis.Close(); err != nil {
		p.log.Warn("close redis", "error", err)
	}
}

// listen opens a listener for a person's setting. What is wrong with it is the
// setting, unless somebody else has the address.
func listen(setting, addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("--%s %s: %w; end what listens there, or choose another (127.0.0.1:0 takes a free port)", setting, addr, err)
	case err != nil:
		return nil, usage("--%s %s: %w", setting, addr, err)
	}
	return l, nil
}

// listenInside opens the internal listener's socket.
func listenInside(o settings.Internal) (net.Listener, error) {
	if err := listener.CheckAddress(o.InternalListen, console.Token(o.InternalToken)); err != nil {
		return nil, usage("%w", err)
	}
	return listen("internal-listen", o.InternalListen)
}
