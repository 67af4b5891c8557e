package tasks

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/hibiken/asynq"

	"plusone/hotpath/like"
	"plusone/tasks/ledger"
)

// recordTime bounds what an attempt needs beside its POST: to claim it and to
// record it.
const recordTime = 5 * time.Second

// lease is how long an attempt belongs to its claimant. Who takes longer is
// taken for dead.
func (n *Notifier) lease() time.Duration { return n.cfg.Timeout + 2*recordTime }

// chainTime is how long a task goes on with deliveries beyond its own. It bounds
// for how long a receiver with a backlog keeps a worker from drains.
const chainTime = time.Second

// HandleNotify makes the attempt that a task asks for, unless it has been made or
// is being made, and then, as long as the receiver takes them, those that are due next.
// A task that finds its receiver's share of the workers taken is done at once:
// those who hold it go on with what it asks for. There is nothing to retry, so the
// error is always nil: Run rings again for what stays due.
func (n *Notifier) HandleNotify(ctx context.Context, t *asynq.Task) error {
	var e errand
	if err := json.Unmarshal(t.Payload(), &e); err != nil {
		slog.WarnContext(ctx, "a notify task makes no sense", "error", err)
		return nil
	}
	lane := n.lanes[e.Receiver]
	if lane == nil || !n.enter(lane) {
		return nil // for a process with other settings, or for a later round
	}
	defer n.leave(lane)
	if err := n.deliver(ctx, lane.hook, e); err != nil && ctx.Err() == nil {
		slog.WarnContext(ctx, "a delivery stopped half-way", "seq", e.Seq, "receiver", e.Receiver, "error", err)
	}
	return nil
}

func (n *Notifier) deliver(ctx context.Context, hook *Hook, e errand) error {
	start := time.Now()
	note, ok, err := n.claim(ctx, &e)
	for ok && err == nil {
		var delivered bool
		delivered, err = n.attempt(ctx, hook, note, e)
		if err != nil || !delivered || time.Since(start) > chainTime {
			return err
		}
		e.Seq = 0
		note, ok, err = n.claim(ctx, &e)
	}
	return err
}

// claim takes e's attempt, or any of its receiver's when e has no Seq.
func (n *Notifier) claim(ctx context.Context, e *errand) (note like.Notification, ok bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, recordTime)
	defer cancel()
	if e.Seq > 0 {
		return n.ledger.ClaimDelivery(ctx, e.Seq, e.Receiver, e.Attempt, n.lease())
	}
	note, e.Attempt, ok, err = n.ledger.ClaimDue(ctx, e.Receiver, n.lease())
	e.Seq = note.Seq
	return note, ok, err
}

// send sends a notification, in the trace of a like that it tells of, if there is one.
func (n *Notifier) send(ctx context.Context, hook *Hook, note like.Notification, e errand) *rejection {
	ctx, ended := n.cfg.Trail.Tell(ctx, "notify", e.Receiver, []Told{{note.Item, note.From, note.To}})
	rejected := hook.send(ctx, note)
	if rejected != nil {
		ended(rejected.why)
	} else {
		ended(nil)
	}
	return rejected
}

// attempt sends a claimed notification and records what came of it.
func (n *Notifier) attempt(ctx context.Context, hook *Hook, note like.Notification, e errand) (delivered bool, err error) {
	start := time.Now()
	rejected := n.send(ctx, hook, note, e)
	if rejected != nil && ctx.Err() != nil {
		return false, ctx.Err() // we were stopped, the receiver hasn't failed: again when the claim runs out
	}
	n.metrics.seconds.Observe(time.Since(start).Seconds())
	// What the receiver has got is recorded even while we are being stopped.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTime)
	defer cancel()
	if rejected != nil {
		return false, n.recordFailed(ctx, e, rejected)
	}
	news, err := n.ledger.Delivered(ctx, e.Seq, e.Receiver, e.Attempt)
	n.metrics.count(news, n.metrics.delivered)
	return true, err
}

func (n *Notifier) recordFailed(ctx context.Context, e errand, r *rejection) error {
	result, again := n.metrics.failed, n.next(e.Attempt, r)
	if again == nil {
		result = n.metrics.exhausted
	}
	news, err := n.ledger.Failed(ctx, e.Seq, e.Receiver, e.Attempt, r.why, again)
	n.metrics.count(news, result)
	return err
}

// next is when the attempt after this one is made, nil when none is.
func (n *Notifier) next(attempt int, r *rejection) *ledger.Again {
	if r.gone || attempt >= len(n.cfg.Ladder) {
		return nil
	}
	again := &ledger.Again{After: n.cfg.Ladder[attempt], Gap: n.cfg.Ladder[attempt], AtLeast: r.after}
	if attempt > 0 {
		again.Gap -= n.cfg.Ladder[attempt-1]
	}
	return again
}

// lane is one receiver's share of the workers. A receiver that hangs holds up
// no more than that, however many of its deliveries are due.
type lane struct {
	hook  *Hook
	slots chan struct{} // holds one for each task at once
}

// enter takes a place of l and one of all, if both are free. It never waits:
// that would hold a worker.
func (n *Notifier) enter(l *lane) bool {
	if !take(l.slots) {
		return false
	}
	if !take(n.slots) {
		<-l.slots
		return false
	}
	return true
}

func (n *Notifier) leave(l *lane) { _, _ = <-n.slots, <-l.slots }

func take(slots chan struct{}) bool {
	select {
	case slots <- struct{}{}:
		return true
	default:
		return false
	}
}
