package pgbarrier

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"plusone/tasks/barrier"
)

// Barrier keeps the records of one participant.
type Barrier struct{ participant string }

// New returns the barrier of a participant, a name within the service's database.
func New(participant string) Barrier { return Barrier{participant} }

// Work does what a step asks for, for ops, within tx alone. It answers one by one,
// in their order. What it answers with rejected or retry it has not touched; an
// error undoes all.
type Work func(ctx context.Context, tx pgx.Tx, ops []barrier.Op) ([]barrier.Answer, error)

// record is a row.
type record struct{ state, reason string }

// Do lets work do those of ops, each of another saga, that are due, and answers
// all. After an error tx is rolled back (a savepoint: to where it began), so that
// nothing half done can be committed by mistake. Otherwise the caller commits, and
// the answers hold only when that succeeds.
//
// Besides work it takes one round trip, or two when something but a done try is
// to be recorded.
func (b Barrier) Do(ctx context.Context, tx pgx.Tx, step barrier.Step, ops []barrier.Op, work Work) ([]barrier.Answer, error) {
	answers, err := b.do(ctx, tx, step, ops, work)
	if err != nil {
		return nil, errors.Join(err, tx.Rollback(ctx))
	}
	return answers, nil
}

func (b Barrier) do(ctx context.Context, tx pgx.Tx, step barrier.Step, ops []barrier.Op, work Work) ([]barrier.Answer, error) {
	records, err := b.enter(ctx, tx, step, ops)
	if err != nil {
		return nil, fmt.Errorf("enter the barrier: %w", err)
	}
	answers := make([]barrier.Answer, len(ops))
	var due []barrier.Op
	var places []int // of due in ops
	for i, op := range ops {
		var known bool
		if answers[i], known = answer(step, op, records); !known {
			due, places = append(due, op), append(places, i)
		}
	}
	if len(due) == 0 {
		return answers, nil
	}
	said, err := work(ctx, tx, due)
	if err != nil {
		return nil, err
	}
	if said, err = barrier.Check(step, due, said); err != nil {
		return nil, err
	}
	if err := b.settle(ctx, tx, step, said); err != nil {
		return nil, fmt.Errorf("settle the barrier: %w", err)
	}
	for i, place := range places {
		answers[place] = said[i]
	}
	return answers, nil
}

// answer tells what the records alone say of op, or that it is due. A fresh
// record, which enter has just made, has no entry in records.
func answer(step barrier.Step, op barrier.Op, records map[string]record) (a barrier.Answer, known bool) {
	r, old := records[op.Saga]
	switch {
	case !old && step == barrier.Try: // due: nobody has tried it
		return a, false
	case !old: // there is nothing to take back, and enter has blocked the step
		return op.Done(), true
	case r.state == gone:
		return op.Retry("its record has just been pruned"), true
	case r.state == "done" && step == barrier.Compensate: // due
		return a, false
	case r.state == "done" || step == barrier.Compensate:
		return op.Done(), true
	case r.state == "rejected":
		return op.Rejected(r.reason), true
	}
	return op.Rejected("it has been compensated"), true
}

// Run is Do in a transaction of its own. When Postgres refuses a batch because of
// what is in it, the halves are tried apart, so that one bad op does not hold the
// others up; it alone is answered with retry.
func (b Barrier) Run(ctx context.Context, db Beginner, step barrier.Step, ops []barrier.Op, work Work) ([]barrier.Answer, error) {
	var answers []barrier.Answer
	err := pgx.BeginFunc(ctx, db, func(tx pgx.Tx) (err error) {
		answers, err = b.do(ctx, tx, step, ops, work)
		return err
	})
	switch {
	case err == nil:
		return answers, nil
	case !refused(err) || ctx.Err() != nil:
		return nil, err
	case len(ops) == 1:
		return []barrier.Answer{ops[0].Retry("the service's books refuse it")}, nil
	}
	half := len(ops) / 2
	left, err := b.Run(ctx, db, step, ops[:half], work)
	if err != nil {
		return nil, err
	}
	right, err := b.Run(ctx, db, step, ops[half:], work)
	return append(left, right...), err
}
