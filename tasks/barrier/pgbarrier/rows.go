package pgbarrier

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"plusone/tasks/barrier"
)

// gone is the state of a record that was there a moment ago.
const gone = ""

// enter makes the records that are missing, as if the step were done, waits for
// whoever else is at one of them, and returns those that were there before.
//
// The two statements go together. The first waits for transactions that have made
// one of the rows and not ended; the second then sees what they left, for read
// committed gives it a later snapshot. Only a compensation may change an old row,
// so only it locks them.
func (b Barrier) enter(ctx context.Context, tx pgx.Tx, step barrier.Step, ops []barrier.Op) (map[string]record, error) {
	sagas := make([]string, len(ops))
	old := make(map[string]record, len(ops))
	for i, op := range ops {
		if _, twice := old[op.Saga]; twice {
			return nil, errors.New("a batch names a saga twice")
		}
		sagas[i], old[op.Saga] = op.Saga, record{state: gone}
	}
	look, fresh := lookSQL, "done"
	if step == barrier.Compensate {
		look, fresh = lookSQL+" FOR UPDATE", "blocked"
	}
	var batch pgx.Batch
	batch.Queue(makeSQL, b.participant, sagas, fresh).Query(func(rows pgx.Rows) error {
		made, err := pgx.CollectRows(rows, pgx.RowTo[string])
		for _, saga := range made {
			delete(old, saga)
		}
		return err
	})
	batch.Queue(look, b.participant, sagas).Query(func(rows pgx.Rows) error {
		var saga string
		var r record
		_, err := pgx.ForEachRow(rows, []any{&saga, &r.state, &r.reason}, func() error {
			if _, was := old[saga]; was {
				old[saga] = r
			}
			return nil
		})
		return err
	})
	return old, tx.SendBatch(ctx, &batch).Close()
}

const (
	makeSQL = `
INSERT INTO saga_barriers (participant, saga, state)
SELECT $1, saga, $3 FROM unnest($2::text[]) AS q (saga) ORDER BY saga COLLATE "C"
ON CONFLICT DO NOTHING RETURNING saga`
	lookSQL = `
SELECT saga, state, reason FROM saga_barriers
 WHERE participant = $1 AND saga = ANY ($2) ORDER BY saga COLLATE "C"`
	rejectSQL = `
UPDATE saga_barriers b SET state = 'rejected', reason = q.reason
  FROM unnest($2::text[], $3::text[]) AS q (saga, reason)
 WHERE b.participant = $1 AND b.saga = q.saga`
	forgetSQL = `DELETE FROM saga_barriers WHERE participant = $1 AND saga = ANY ($2)`
	undoneSQL = `UPDATE saga_barriers SET state = 'undone', at = now() WHERE participant = $1 AND saga = ANY ($2)`
)

// settle records what the work has answered, where that is not what enter has
// assumed. All rows are this transaction's: made or locked by it.
func (b Barrier) settle(ctx context.Context, tx pgx.Tx, step barrier.Step, said []barrier.Answer) error {
	var done, again, rejected, reasons []string
	for _, a := range said {
		switch a.Result {
		case barrier.Done:
			done = append(done, a.Saga)
		case barrier.Retry:
			again = append(again, a.Saga)
		case barrier.Rejected:
			rejected, reasons = append(rejected, a.Saga), append(reasons, a.Reason)
		}
	}
	var batch pgx.Batch
	if step == barrier.Compensate && len(done) > 0 {
		batch.Queue(undoneSQL, b.participant, done)
	}
	if step == barrier.Try && len(again) > 0 {
		batch.Queue(forgetSQL, b.participant, again)
	}
	if len(rejected) > 0 {
		batch.Queue(rejectSQL, b.participant, rejected, reasons)
	}
	if batch.Len() == 0 {
		return nil
	}
	return tx.SendBatch(ctx, &batch).Close()
}

// refused tells whether Postgres has refused what was to be written: data it can't
// hold (class 22), or that a constraint forbids (23).
func refused(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (strings.HasPrefix(pg.Code, "22") || strings.HasPrefix(pg.Code, "23"))
}
