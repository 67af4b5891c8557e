package doctor

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/hibiken/asynq"

	"plusone/hotpath/like"
	"plusone/tasks"
	"plusone/tasks/ledger"
)

// grace is how late a notification may be before somebody should look.
const grace = 10 * time.Minute

// troubles tells what the ledger has noted.
func (e *exam) troubles(ctx context.Context) error {
	if !e.schema {
		return nil
	}
	var t ledger.Troubles
	if e.ask(ctx, "ledger.troubles", func(ctx context.Context) (err error) {
		t, err = e.ledger.Troubles(ctx, grace)
		return err
	}) {
		e.report.add(deadLetters(t), repairs(t), e.reconciled(t), notifications(t), stuckSagas(t), frozenItems(t), revocations(t))
	}
	e.mode(ctx)
	return nil
}

// mode tells where all processes write.
func (e *exam) mode(ctx context.Context) {
	const check = "writes"
	elsewhere := false
	if !e.ask(ctx, check, func(ctx context.Context) error {
		err := e.ledger.CheckMode(ctx)
		if elsewhere = errors.Is(err, like.ErrElsewhere); elsewhere {
			return nil
		}
		return err
	}) {
		return
	}
	if elsewhere {
		e.report.add(warning(check, "bring Redis back; an API or a reconciler must run to lead writes back to it",
			"likes go straight to Postgres, because Redis was away: right, but slower, and counts are as fresh as Postgres"))
		return
	}
	e.report.add(ok(check, "likes go to Redis"))
}

func deadLetters(t ledger.Troubles) Finding {
	if t.DeadLetters > 0 {
		return warning("ledger.dead_letters", "plusone dead-letter list; then plusone dead-letter retry ID when what refused it is gone, or drop ID",
			"%d changes were refused by Postgres: those likes were taken back, or replaced", t.DeadLetters)
	}
	return ok("ledger.dead_letters", "no change was refused")
}

func repairs(t ledger.Troubles) Finding {
	const fix = "plusone repairs list --since 24h: cause, side, before and after tell what went wrong"
	if t.Repairs+t.Unrepaired > 0 {
		return warning("ledger.repairs", fix, "in the last day %d differences were repaired and %d found but not repaired", t.Repairs, t.Unrepaired)
	}
	return ok("ledger.repairs", "no differences in the last day")
}

// reconciled: a shard of several is done at least every ReconcileFull.
func (e *exam) reconciled(t ledger.Troubles) Finding {
	const check, fix = "reconciler", "run plusone reconcile (or serve)"
	age := e.now().Sub(t.Checked)
	switch {
	case t.Checked.Unix() == 0:
		return warning(check, fix, "nobody has ever compared the stores: drift would stay")
	case age > 3*e.ReconcileFull+grace:
		return warning(check, fix, "the stores were last compared %s ago: drift stays that long", age.Round(time.Second))
	}
	return ok(check, "a shard was compared wholly %s ago", age.Round(time.Second))
}

func notifications(t ledger.Troubles) Finding {
	const check = "notifications"
	switch {
	case t.Unclosed+t.Undelivered > 0:
		return warning(check, "run a worker with the receivers' --webhook-url; deliveries to a URL that is no longer set end with --webhook-keep",
			"%d windows and %d deliveries are overdue by more than %s: nobody tells receivers (likes are not touched)", t.Unclosed, t.Undelivered, grace)
	case t.Exhausted > 0:
		return warning(check, "the receiver asks for what it missed: GET /v1/notifications?after=<seq>",
			"%d deliveries were given up", t.Exhausted)
	}
	return ok(check, "none is overdue or given up")
}

func stuckSagas(t ledger.Troubles) Finding {
	const check = "sagas.stuck"
	if t.Stuck > 0 {
		return warning(check, "plusone saga list --state stuck; mend the participant, then plusone saga retry --all --reason …",
			"%d likes could not be taken back by a participant and wait for a person", t.Stuck)
	}
	return ok(check, "none is stuck")
}

// frozenItems is no trouble, but who wonders about 409s should see it.
func frozenItems(t ledger.Troubles) Finding {
	return ok("items.frozen", "%d items take no new likes (plusone item list)", t.Frozen)
}

func revocations(t ledger.Troubles) Finding {
	return ok("revocations", "%d are under way (plusone revoke list)", t.Revoking)
}

// worker looks for processes that say they take drains.
func (e *exam) worker(ctx context.Context) error {
	const check = "worker"
	if !e.works {
		return nil
	}
	running := 0
	if !e.ask(ctx, check, func(context.Context) error { // bounded by the client's own timeouts
		servers, err := asynq.NewInspectorFromRedisClient(e.redis.Client()).Servers()
		for _, s := range servers {
			if _, drains := s.Queues[tasks.QueueDrain]; drains && slices.Contains([]string{"active", "new"}, s.Status) {
				running++
			}
		}
		return err
	}) {
		return nil
	}
	if running == 0 {
		e.report.add(warning(check, "run plusone worker (or serve)", "none runs: likes stay in Redis until its logs are full, then they are refused"))
		return nil
	}
	e.report.add(ok(check, "%d take drains", running))
	return nil
}
