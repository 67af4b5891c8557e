package tasks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/hibiken/asynq"
	"github.com/prometheus/client_golang/prometheus"

	"plusone/tasks/ledger"
)

// The asynq names of deliveries.
const (
	TypeNotify  = "notify"
	QueueNotify = "notify"
)

// NotifyConfig says whom a Notifier tells, and how.
type NotifyConfig struct {
	Receivers    []Receiver      // none: windows are closed all the same, to be asked for
	Window       time.Duration   // over which an item's changes are folded, as given to ledger.Batch.FoldNotifications
	Ladder       []time.Duration // rising, each from the first attempt; empty: one attempt and no more
	Timeout      time.Duration   // of one attempt
	Keep         time.Duration   // how long notifications can be asked for; must be longer than the ladder
	Concurrency  int             // attempts at once, shared out evenly over the receivers; at most half of the worker's, or drains wait for receivers
	Trail        *Trail          // nil: no spans
	AllowPrivate bool            // lets receivers be in private, loopback, link-local and other special networks
}

// Notifier tells receivers of changes as well as it can, and never at the
// expense of likes: it reads and writes the tables notifications and deliveries
// and nothing else.
//
//	Run: close windows ──▶ deliveries ──due──▶ doorbell (asynq task)
//	HandleNotify:          claim ──▶ POST ──▶ record: delivered, next rung, or exhausted
//
// The ledger's row is the truth and the task only a hint, so a task may be lost,
// run late, twice, or twice at once: an attempt is claimed before it is sent and
// counted once. A crash between the two sends it again, with the same id, after
// the claim has run out.
type Notifier struct {
	ledger  *ledger.Ledger
	queue   *Queue
	cfg     NotifyConfig
	names   []string // of the receivers, in the order of the settings
	lanes   map[string]*lane
	slots   chan struct{} // holds one for each task at once, over all lanes
	metrics *notifyMetrics
}

// NewNotifier checks the settings and returns a Notifier that sends nothing
// until Run and HandleNotify are called, and that needs Close in the end. l,
// queue and reg stay the caller's.
func NewNotifier(l *ledger.Ledger, queue *Queue, reg prometheus.Registerer, cfg NotifyConfig) (*Notifier, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	n := &Notifier{ledger: l, queue: queue, cfg: cfg, lanes: map[string]*lane{}, names: []string{}, slots: make(chan struct{}, cfg.Concurrency)}
	dialer := publicDialer(cfg.Timeout)
	if cfg.AllowPrivate {
		dialer = &net.Dialer{Timeout: cfg.Timeout}
	}
	for _, r := range cfg.Receivers {
		hook, err := newHook(r, cfg.Timeout, dialer)
		if err != nil {
			return nil, err
		}
		if n.lanes[r.Name()] != nil {
			return nil, fmt.Errorf("receiver %s is there twice", r.Name())
		}
		n.names = append(n.names, r.Name())
		n.lanes[r.Name()] = &lane{hook: hook, slots: make(chan struct{}, max(1, cfg.Concurrency/len(cfg.Receivers)))}
	}
	n.metrics = newNotifyMetrics(reg)
	return n, nil
}

func (c NotifyConfig) check() error {
	switch {
	case c.Window <= 0:
		return errors.New("notify: the window must be longer than nothing")
	case c.Timeout <= 0:
		return errors.New("notify: the timeout must be longer than nothing")
	case c.Concurrency < 1:
		return errors.New("notify: the concurrency must be 1 or more")
	}
	last := time.Duration(0)
	for i, d := range c.Ladder {
		if d <= last {
			return fmt.Errorf("notify: step %d of the ladder, %v, is not after %v", i+1, d, last)
		}
		last = d
	}
	if c.Keep <= last {
		return fmt.Errorf("notify: notifications must be kept longer than the ladder's %v", last)
	}
	return nil
}

// Close ends the connections that wait for a next attempt. Run and HandleNotify
// must have returned.
func (n *Notifier) Close() {
	for _, l := range n.lanes {
		l.hook.Close()
	}
}

const (
	closePage  = 500              // windows closed in one transaction
	closePages = 20               // transactions per round
	ringPage   = 64               // doorbells per receiver and round; who answers one goes on with what is due
	roundTime  = 10 * time.Second // the longest that a round may take
	pruneEvery = time.Hour
	gaugeEvery = time.Second
	gaugeMost  = 100_000 // pending deliveries are counted up to here
)

// Run closes windows, rings for due deliveries and forgets old notifications
// until ctx ends. Any number of processes may run it at once.
func (n *Notifier) Run(ctx context.Context) error {
	tick := time.NewTicker(min(max(n.cfg.Window/10, 50*time.Millisecond), time.Second))
	defer tick.Stop()
	var ill bool
	var pruned, gauged time.Time
	for {
		err := n.round(ctx, &pruned, &gauged)
		n.report(ctx, err, &ill)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// report logs where trouble begins and where it ends, not every round of it.
func (n *Notifier) report(ctx context.Context, err error, ill *bool) {
	switch {
	case ctx.Err() != nil || (err != nil) == *ill:
		return
	case err != nil:
		slog.WarnContext(ctx, "notifications are held up", "error", err)
	default:
		slog.InfoContext(ctx, "notifications go on")
	}
	*ill = err != nil
}

func (n *Notifier) round(ctx context.Context, pruned, gauged *time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, roundTime)
	defer cancel()
	errs := []error{n.closeWindows(ctx), n.ring(ctx)}
	if time.Since(*gauged) >= gaugeEvery {
		pending, err := n.ledger.PendingDeliveries(ctx, gaugeMost)
		if err == nil {
			n.metrics.pending.Set(float64(pending))
		}
		*gauged, errs = time.Now(), append(errs, err)
	}
	if time.Since(*pruned) >= pruneEvery {
		_, err := n.ledger.PruneNotifications(ctx, n.cfg.Keep)
		*pruned, errs = time.Now(), append(errs, err)
	}
	return errors.Join(errs...)
}

func (n *Notifier) closeWindows(ctx context.Context) error {
	for range closePages {
		closed, err := n.ledger.CloseNotifications(ctx, n.names, closePage)
		if err != nil || closed < closePage {
			return err
		}
	}
	return nil
}

// errand is one attempt at a delivery, and the payload of its doorbell.
type errand struct {
	Seq      int64  `json:"seq"`
	Receiver string `json:"receiver"`
	Attempt  int    `json:"attempt"` // from zero
}

// ring enqueues a task for every delivery that is due, up to a page for each
// receiver, so that nobody's backlog stands before another's.
func (n *Notifier) ring(ctx context.Context) error {
	due, err := n.ledger.DueDeliveries(ctx, n.names, ringPage)
	if err != nil {
		return err
	}
	for _, d := range due {
		if err := n.ringFor(ctx, errand{d.Seq, d.Receiver, d.Attempts}); err != nil {
			return err
		}
	}
	return nil
}

// ringFor enqueues one task. The one retry is for a worker that was killed. The
// minute in the id lets later rounds ring again when asynq holds on to a task
// that nobody runs any more.
func (n *Notifier) ringFor(ctx context.Context, e errand) error {
	payload, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("ring for delivery %d: %w", e.Seq, err)
	}
	id := fmt.Sprintf("%s:%d:%s:%d:%d", TypeNotify, e.Seq, e.Receiver, e.Attempt, time.Now().Unix()/60)
	err = n.queue.enqueue(ctx, asynq.NewTask(TypeNotify, payload),
		asynq.Queue(QueueNotify), asynq.TaskID(id), asynq.MaxRetry(1), asynq.Timeout(n.lease()+chainTime))
	if err != nil && !errors.Is(err, asynq.ErrTaskIDConflict) {
		return fmt.Errorf("ring for delivery %d: %w", e.Seq, err)
	}
	return nil
}
