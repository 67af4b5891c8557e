package saga

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"plusone/hotpath/counter"
	"plusone/hotpath/like"
	"plusone/tasks"
	"plusone/tasks/ledger"
)

// Participant is a service that must agree.
type Participant struct {
	Name string
	tasks.Receiver
}

// Config says who must agree, and how long to wait for what.
type Config struct {
	Participants []Participant // in the order of their calls
	Timeout      time.Duration // of one call
	ResumeAfter  time.Duration // a step that nobody has ended by then is made again; longer than two calls
	Patience     time.Duration // a step that has had no answer for so long is taken for rejected
	Window       time.Duration // of notifications; 0: none
	Keep         time.Duration // how long sagas that have ended can be asked for
	Alert        *tasks.Hook   // is told of sagas that are stuck; nil: nobody is
	Trail        *tasks.Trail  // nil: no spans
	Quota        bool          // likes that are taken back give their units back
}

// Records is where sagas are kept, as ledger.Ledger does it.
type Records interface {
	ClaimSagas(ctx context.Context, participant string, limit int, lease time.Duration) ([]ledger.ClaimedSaga, error)
	RecordTries(ctx context.Context, results []ledger.StepResult, patience, window time.Duration) (ledger.Recorded, error)
	RecordCompensations(ctx context.Context, results []ledger.StepResult, most int) (ledger.Recorded, error)
	ReturnSagas(ctx context.Context, sagas []ledger.ClaimedSaga, shards []int, window time.Duration,
		undo func(context.Context, []ledger.SagaReturn) ([]time.Duration, []string),
		finish func(context.Context, []ledger.ClaimedSaga) ([]time.Duration, []string)) (ledger.Recorded, error)
	SagaStranger(ctx context.Context, known []string) (string, error)
	SagaGauge(ctx context.Context, most int) (ledger.SagaGauge, error)
	StuckUntold(ctx context.Context, limit int) ([]ledger.StuckSaga, error)
	StuckTold(ctx context.Context, ids []string) error
	PruneSagas(ctx context.Context, olderThan time.Duration) (int64, error)
}

// Log is where a like is taken back, as counter.Log does it.
type Log interface {
	Shards() int
	Writable(ctx context.Context) error
	Retract(ctx context.Context, shard int, ch like.Change, after like.Version, mark string) (counter.Retracted, error)
	WasRetracted(ctx context.Context, shard int, mark string) (bool, error)
	GiveBack(ctx context.Context, user string, v like.Version, mark string) error
}

// Likes loads what it is asked for into Redis, as counter.Counter does.
type Likes interface {
	Apply(ctx context.Context, ops []like.Op, results []like.Result) error
	Read(ctx context.Context, items []string, user string) ([]like.Reading, error)
}

const (
	batchSize  = 500
	mostTries  = 10 // of one compensation, before the saga is stuck
	laneWidth  = 2  // calls to one participant at once, by this process
	idlePause  = 200 * time.Millisecond
	recordTime = 5 * time.Second
	firstPause = time.Second
	longPause  = 5 * time.Minute
)

// Engine makes the steps of sagas. Any number of processes may run one.
type Engine struct {
	records Records
	log     Log
	likes   Likes
	ring    func(shards ...int) // asks for drains
	cfg     Config
	asked   map[string]*asked
	lanes   []*lane
	metrics *metrics
}

// lane is the steps that wait for one participant, or for plusone itself.
type lane struct {
	name string
	wake chan struct{} // holds one: "there may be steps"
}

// New checks the settings and returns an Engine that does nothing until Run is
// called, and that needs Close in the end. What it is given stays the caller's.
func New(records Records, log Log, likes Likes, ring func(shards ...int), reg prometheus.Registerer, cfg Config) (*Engine, error) {
	if cfg.ResumeAfter < 2*cfg.Timeout+recordTime {
		return nil, fmt.Errorf("saga: steps are resumed after %v, while they may still be under way: want more than two calls of %v",
			cfg.ResumeAfter, cfg.Timeout)
	}
	e := &Engine{records: records, log: log, likes: likes, ring: ring, cfg: cfg, asked: map[string]*asked{}}
	for _, p := range cfg.Participants {
		hook, err := tasks.NewHook(p.Receiver, cfg.Timeout, true) // services of one's own are on networks of one's own
		if err != nil {
			return nil, fmt.Errorf("participant %s: %w", p.Name, err)
		}
		e.asked[p.Name] = &asked{Hook: hook}
		e.lanes = append(e.lanes, newLane(p.Name))
	}
	e.lanes = append(e.lanes, newLane(""))
	e.metrics = newMetrics(reg)
	return e, nil
}

func newLane(name string) *lane { return &lane{name: name, wake: make(chan struct{}, 1)} }

// Close ends the connections that wait for a next call. Run must have returned.
func (e *Engine) Close() {
	for _, a := range e.asked {
		a.Close()
	}
}

// Run makes steps until ctx ends, and waits for those under way.
func (e *Engine) Run(ctx context.Context) error {
	var all sync.WaitGroup
	for _, l := range e.lanes {
		for range laneWidth {
			all.Go(func() { e.serve(ctx, l) })
		}
	}
	all.Go(func() { e.watch(ctx) })
	all.Wait()
	return nil
}

// serve makes a lane's steps as they come due.
func (e *Engine) serve(ctx context.Context, l *lane) {
	var ill bool
	tick := time.NewTicker(idlePause)
	defer tick.Stop()
	for ctx.Err() == nil {
		n, err := e.Turn(ctx, l.name)
		e.report(ctx, l.name, err, &ill)
		if n == batchSize && err == nil {
			continue
		}
		select {
		case <-ctx.Done():
		case <-l.wake:
		case <-tick.C:
		}
	}
}

// report logs where trouble begins and where it ends, not every turn of it.
func (e *Engine) report(ctx context.Context, lane string, err error, ill *bool) {
	switch {
	case ctx.Err() != nil || (err != nil) == *ill:
		return
	case err != nil:
		slog.WarnContext(ctx, "sagas are held up", "participant", lane, "error", err)
	default:
		slog.InfoContext(ctx, "sagas go on", "participant", lane)
	}
	*ill = err != nil
}

// Turn makes the steps that are due and wait for a participant, "" being plusone
// itself, up to a batch, and returns how many it has found.
func (e *Engine) Turn(ctx context.Context, name string) (int, error) {
	found, err := e.claim(ctx, name)
	if err != nil || len(found) == 0 {
		return 0, err
	}
	var tries, compensations, returns []ledger.ClaimedSaga
	var unasked []ledger.StepResult // where nobody is to be asked
	for _, s := range found {
		switch {
		case s.Blocked:
		case s.State == ledger.SagaPending && s.Step == 0 && s.Holds != nil && *s.Holds == s.Liked:
			unasked = append(unasked, ledger.StepResult{Saga: s, Result: ledger.StepNeedless})
		case s.State == ledger.SagaPending && s.Step == len(s.Participants): // completed by hand
			unasked = append(unasked, ledger.StepResult{Saga: s, Result: ledger.StepDone})
		case s.State == ledger.SagaPending:
			tries = append(tries, s)
		case s.Step > 0:
			compensations = append(compensations, s)
		default:
			returns = append(returns, s)
		}
	}
	return len(found), errors.Join(
		e.recordTries(ctx, unasked),
		e.recordTries(ctx, e.call(ctx, name, stepTry, tries)),
		e.compensated(ctx, e.call(ctx, name, stepCompensate, compensations)),
		e.takeBack(ctx, returns),
	)
}

func (e *Engine) claim(ctx context.Context, name string) ([]ledger.ClaimedSaga, error) {
	ctx, cancel := context.WithTimeout(ctx, recordTime)
	defer cancel()
	return e.records.ClaimSagas(ctx, name, batchSize, e.cfg.ResumeAfter)
}

// What participants have said is recorded even while we are being stopped.
func recording(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), recordTime)
}

func (e *Engine) recordTries(ctx context.Context, results []ledger.StepResult) error {
	if len(results) == 0 {
		return nil
	}
	ctx, cancel := recording(ctx)
	defer cancel()
	recorded, err := e.records.RecordTries(ctx, results, e.cfg.Patience, e.cfg.Window)
	e.moved(recorded)
	return err
}

func (e *Engine) compensated(ctx context.Context, results []ledger.StepResult) error {
	if len(results) == 0 {
		return nil
	}
	ctx, cancel := recording(ctx)
	defer cancel()
	recorded, err := e.records.RecordCompensations(ctx, results, mostTries)
	e.moved(recorded)
	return err
}

// moved counts what has ended, and wakes the lanes that may have got something.
func (e *Engine) moved(to ledger.Recorded) {
	e.metrics.moved(to)
	for _, l := range e.lanes {
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
}

// pause is how long to wait after so many attempts: twice as long each time, up to
// most, and a bit of chance, so that those who failed together do not come
// together again.
func pause(first, most time.Duration, attempts int) time.Duration {
	d := min(first<<min(max(attempts-1, 0), 20), most)
	return d/2 + rand.N(d/2+1) //nolint:gosec // it decides nothing but a moment
}
