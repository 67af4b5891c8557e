package fire

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"time"

	"plusone/cmd/chaos/house"
	"plusone/cmd/chaos/partner"
)

// Fault is one planned fault.
type Fault struct {
	Kind   string
	Target string        // what is hit, in words
	Hold   time.Duration // how long it lasts
	Wait   time.Duration // how long all is left alone before it

	kind  *kind
	names []string // of processes, for kinds that hit processes
	store string   // redis or postgres, for links
	rnd   uint64   // for what a kind draws itself
	jump  time.Duration
}

// kind is a kind of fault.
type kind struct {
	name string
	// plan draws what is hit.
	plan func(f *Fault, rnd *rand.Rand)
	// begin makes the fault, end takes it back. What end returns is over.
	begin, end func(context.Context, *house.House, *Fault) error
	// killed: recovery is counted from the beginning, since what was hit is one
	// of two; otherwise from the end, when what was away is back.
	killed bool
	// missing says why a house cannot have it, nil when it can.
	missing func(*house.House) error
}

// Killed reports whether recovery counts from the fault's beginning.
func (f *Fault) Killed() bool { return f.kind.killed }

// Begin makes the fault.
func (f *Fault) Begin(ctx context.Context, h *house.House) error {
	return f.done(f.kind.begin(ctx, h, f))
}

// End takes it back, and returns when what was away is back.
func (f *Fault) End(ctx context.Context, h *house.House) error { return f.done(f.kind.end(ctx, h, f)) }

func (f *Fault) done(err error) error {
	if err != nil {
		return fmt.Errorf("%s %s: %w", f.Kind, f.Target, err)
	}
	return nil
}

var kinds = []*kind{
	{name: "kill-api", plan: oneOf("api-1", "api-2"), begin: kill, end: start, killed: true},
	{name: "kill-worker", plan: oneOf("worker-1", "worker-2"), begin: kill, end: start, killed: true},
	{name: "kill-reconcile", plan: oneOf("reconcile"), begin: kill, end: start, killed: true},
	{name: "kill-redis", plan: store("redis"), begin: killRedis, end: startRedis},
	{name: "kill-postgres", plan: store("postgres"), begin: killPostgres, end: startPostgres},
	{name: "stop-api", plan: oneOf("api-1", "api-2"), begin: freeze, end: thaw},
	{name: "stop-worker", plan: oneOf("worker-1", "worker-2", "worker-1 worker-2"), begin: freeze, end: thaw},
	{name: "stop-reconcile", plan: oneOf("reconcile"), begin: freeze, end: thaw},
	{
		name: "stop-redis", plan: store("redis"),
		begin: func(_ context.Context, h *house.House, _ *Fault) error { return h.StopRedis() },
		end:   func(_ context.Context, h *house.House, _ *Fault) error { return h.ContRedis() },
	},
	{
		name: "stop-postgres", plan: store("postgres"),
		begin: func(_ context.Context, h *house.House, _ *Fault) error { return h.StopPostgres() },
		end:   func(_ context.Context, h *house.House, _ *Fault) error { return h.ContPostgres() },
	},
	{name: "cut-link", plan: link, begin: onLinks((*house.Link).Cut), end: mend},
	{name: "delay-link", plan: link, begin: delay, end: mend},
	{name: "drop-replies", plan: link, begin: onLinks((*house.Link).DropReplies), end: mend},
	{name: "restart-all", plan: everything, begin: stopAll, end: startAll},
	{
		name: "redis-disk-full", plan: longer(store("redis")), missing: noDisks,
		begin: func(_ context.Context, h *house.House, _ *Fault) error { return h.FillRedis() },
		end:   func(ctx context.Context, h *house.House, _ *Fault) error { return h.EmptyRedis(ctx) },
	},
	{
		name: "postgres-disk-full", plan: longer(store("postgres")), missing: noDisks,
		begin: func(_ context.Context, h *house.House, _ *Fault) error { return h.FillPostgres() },
		end:   func(ctx context.Context, h *house.House, _ *Fault) error { return h.EmptyPostgres(ctx) },
	},
	{
		name: "clock-jump", plan: clock, missing: func(h *house.House) error { return h.NoClocks },
		begin: func(_ context.Context, h *house.House, f *Fault) error { return h.Jump(h.Process(f.names[0]), f.jump) },
		end:   func(_ context.Context, h *house.House, f *Fault) error { return h.Jump(h.Process(f.names[0]), 0) },
	},
	misbehave("participant-down", partner.Down),
	misbehave("participant-hangs", partner.Hangs),
	misbehave("participant-forgets", partner.Forgets),
	misbehave("participant-late", partner.Late),
}

// misbehave makes a participant treat its calls as mood says.
func misbehave(name string, mood partner.Mood) *kind {
	be := func(m partner.Mood) func(context.Context, *house.House, *Fault) error {
		return func(_ context.Context, h *house.House, f *Fault) error {
			h.Partners.Partner(f.names[0]).Be(m)
			return nil
		}
	}
	return &kind{
		name: name, plan: oneOf("articles", "points", "fraud"), missing: noPartners,
		begin: be(mood), end: be(partner.Well),
	}
}

func noPartners(h *house.House) error {
	if h.Partners == nil {
		return errors.New("there are participants with --participants only")
	}
	return nil
}

func noDisks(h *house.House) error { return h.NoDisks }

// oneOf hits the processes of one of the choices.
func oneOf(choices ...string) func(*Fault, *rand.Rand) {
	return func(f *Fault, rnd *rand.Rand) {
		f.Target = choices[rnd.IntN(len(choices))]
		f.names = strings.Fields(f.Target)
	}
}

func store(name string) func(*Fault, *rand.Rand) {
	return func(f *Fault, _ *rand.Rand) { f.Target = name }
}

// longer makes a fault last: a full disk is noticed when a file has to grow.
func longer(plan func(*Fault, *rand.Rand)) func(*Fault, *rand.Rand) {
	return func(f *Fault, rnd *rand.Rand) {
		plan(f, rnd)
		f.Hold += 3 * time.Second
	}
}

// link hits the links of one API, of both, of all workers, of the reconciler or
// of everything to one store.
func link(f *Fault, rnd *rand.Rand) {
	f.store = []string{"redis", "redis", "postgres"}[rnd.IntN(3)]
	who := []string{
		"api-1", "api-2", "api-1 api-2", "worker-1 worker-2", "reconcile", "api-1 api-2 worker-1 worker-2 reconcile",
	}[rnd.IntN(6)]
	f.names, f.Target = strings.Fields(who), strings.ReplaceAll(who, " ", "+")+" to "+f.store
	if len(f.names) == 5 {
		f.Target = "all to " + f.store
	}
}

func everything(f *Fault, rnd *rand.Rand) {
	f.Target, f.rnd = "everything, started in another order", rnd.Uint64()
}

// clock moves the clock of one API, there and then back.
func clock(f *Fault, rnd *rand.Rand) {
	oneOf("api-1", "api-2")(f, rnd)
	f.jump = []time.Duration{-24 * time.Hour, -time.Minute, -5 * time.Second, 5 * time.Second, time.Minute, 24 * time.Hour}[rnd.IntN(6)]
	f.Target += fmt.Sprintf(" by %+.0f s", f.jump.Seconds())
}

func kill(_ context.Context, h *house.House, f *Fault) error {
	for _, name := range f.names {
		h.Process(name).Kill()
	}
	return nil
}

func start(_ context.Context, h *house.House, f *Fault) error {
	for _, name := range f.names {
		h.Process(name).Start()
	}
	return nil
}

func freeze(_ context.Context, h *house.House, f *Fault) error { return toAll(h, f, syscall.SIGSTOP) }

func thaw(_ context.Context, h *house.House, f *Fault) error { return toAll(h, f, syscall.SIGCONT) }

func toAll(h *house.House, f *Fault, sig syscall.Signal) error {
	for _, name := range f.names {
		if err := h.Process(name).Signal(sig); err != nil {
			return err
		}
	}
	return nil
}

func killRedis(_ context.Context, h *house.House, _ *Fault) error {
	h.Redis.Kill()
	return nil
}

func startRedis(ctx context.Context, h *house.House, _ *Fault) error { return h.Redis.Restart(ctx) }

func killPostgres(_ context.Context, h *house.House, _ *Fault) error {
	h.Postgres.Kill()
	return nil
}

func startPostgres(ctx context.Context, h *house.House, _ *Fault) error {
	return h.Postgres.Restart(ctx)
}

func onLinks(do func(*house.Link) error) func(context.Context, *house.House, *Fault) error {
	return func(_ context.Context, h *house.House, f *Fault) error {
		for _, name := range f.names {
			if err := do(h.Links[name+" "+f.store]); err != nil {
				return err
			}
		}
		return nil
	}
}

// slow is what a delayed link adds to every request.
const slow = 150 * time.Millisecond

func delay(ctx context.Context, h *house.House, f *Fault) error {
	return onLinks(func(l *house.Link) error { return l.Delay(slow) })(ctx, h, f)
}

func mend(ctx context.Context, h *house.House, f *Fault) error {
	return onLinks(func(l *house.Link) error { return l.Mend(ctx) })(ctx, h, f)
}

// stopAll ends everything in good order.
func stopAll(ctx context.Context, h *house.House, _ *Fault) error {
	for _, p := range h.All {
		if err := p.Stop(ctx); err != nil {
			return err
		}
	}
	if err := h.Redis.Stop(ctx); err != nil {
		return err
	}
	return h.Postgres.Stop(ctx)
}

// startAll starts everything in an order that the plan has drawn. Processes that
// come before their stores end and are started again.
func startAll(ctx context.Context, h *house.House, f *Fault) error {
	rnd := rand.New(rand.NewPCG(f.rnd, 0))
	steps := []func() error{
		func() error { return h.Redis.Restart(ctx) },
		func() error { return h.Postgres.Restart(ctx) },
	}
	for _, p := range h.All {
		steps = append(steps, func() error { p.Start(); return nil })
	}
	for _, i := range rnd.Perm(len(steps)) {
		if err := steps[i](); err != nil {
			return err
		}
		select {
		case <-time.After(time.Duration(rnd.IntN(300)) * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
