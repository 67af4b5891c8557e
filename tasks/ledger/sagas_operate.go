package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"plusone/hotpath/like"
)

// SagaRecord is a saga as an operator sees it.
type SagaRecord struct {
	Saga
	WaitsFor     string // whose answer is next, "" of plusone itself, or of nobody
	Since        time.Time
	NextAt       time.Time // of the next attempt; while one is under way, when its claim ends
	EndedAt      *time.Time
	RejectedBy   string
	Reason       string
	LastError    string
	Notification string // that tells of it
}

const recordColumns = sagaColumns + `,
	coalesce(s.waits_for, CASE s.state WHEN 'stuck' THEN s.participants[s.step] END, ''), s.since, greatest(s.next_at, s.claimed_until), s.ended_at,
	coalesce(s.rejected_by, ''), coalesce(s.reason, ''), coalesce(s.last_error, ''), coalesce(s.notification, '')`

func scanRecord(row pgx.CollectableRow) (r SagaRecord, err error) {
	return r, row.Scan(append(r.columns(), &r.WaitsFor, &r.Since, &r.NextAt, &r.EndedAt,
		&r.RejectedBy, &r.Reason, &r.LastError, &r.Notification)...)
}

// SagaFilter says which sagas to list; what is empty does not matter.
type SagaFilter struct {
	State       string
	Item, User  string
	Participant string // whose answer is next, or who rejected it
	After       string // an id: those behind it
	Limit       int
}

// Sagas lists sagas by id.
func (l *Ledger) Sagas(ctx context.Context, f SagaFilter) ([]SagaRecord, error) {
	var w conditions
	w.and("s.id > ?", f.After)
	w.and("s.state = ?", f.State)
	w.and("s.item_id = ?", f.Item)
	w.and("s.user_id = ?", f.User)
	w.and("(s.waits_for = ? OR s.rejected_by = ? OR s.state = 'stuck' AND s.participants[s.step] = ?)", f.Participant)
	rows, err := l.pool.Query(ctx, `SELECT `+recordColumns+` FROM sagas s`+w.where()+` ORDER BY s.id`+w.limit(f.Limit), w.args...)
	if err != nil {
		return nil, failed("list sagas", err)
	}
	found, err := pgx.CollectRows(rows, scanRecord)
	return found, failed("list sagas", err)
}

// Saga returns a saga and what operators did to it. Errors: like.ErrNotFound.
func (l *Ledger) Saga(ctx context.Context, id string) (r SagaRecord, acts []Act, err error) {
	rows, err := l.pool.Query(ctx, `SELECT `+recordColumns+` FROM sagas s WHERE s.id = $1`, id)
	if err != nil {
		return r, nil, failed("read a saga", err)
	}
	r, err = pgx.CollectExactlyOneRow(rows, scanRecord)
	if errors.Is(err, pgx.ErrNoRows) {
		err = like.ErrNotFound
	}
	if err != nil {
		return r, nil, failed("read a saga", err)
	}
	acts, err = l.acts(ctx, onSaga, id)
	return r, acts, err
}

// What an operator may do to a saga that has not ended.
const (
	ActRetry      = "retry"      // make the next attempt now, also of one that is stuck
	ActCompensate = "compensate" // take it back, whatever participants would say; also one that is done, if it is its pair's last
	ActComplete   = "complete"   // go on as if all participants had answered
)

// ErrActRefused: what is acted on is in no state for that act.
var ErrActRefused = errors.New("its state does not allow this")

// actSQL changes states alone: the engine does what follows from them. $1 is the
// act, $2 who does it, $3 why.
const actSQL = `
, acted AS (
	UPDATE sagas s
	   SET state = CASE WHEN $1 = 'compensate' OR s.state = 'stuck' THEN 'compensating' ELSE s.state END,
	       step = CASE WHEN $1 = 'compensate' AND s.state = 'pending' THEN
	                        -- the one whose turn it is may have been asked
	                        least(s.step + 1, cardinality(s.participants)) -- of one that is done all have, or nobody was
	                   WHEN $1 = 'complete' AND s.state = 'pending' THEN cardinality(s.participants)
	                   WHEN $1 = 'complete' THEN 0 ELSE s.step END,
	       attempts = 0, since = now(), next_at = now(), claimed_until = NULL, alerted = false, ended_at = NULL,
	       rejected_by = CASE WHEN $1 = 'compensate' AND s.state IN ('pending', 'done') THEN 'operator' ELSE s.rejected_by END,
	       reason = CASE WHEN $1 = 'retry' THEN s.reason ELSE coalesce(s.reason || '; ', '') || $3 END
	  FROM target t WHERE s.id = t.id
), noted AS (
	INSERT INTO acts (kind, subject, who, act, reason, state) SELECT 'saga', id, $2, $1, $3, state FROM target ORDER BY id
	RETURNING 1
)
SELECT (SELECT count(*) FROM noted)`

// ActOnSaga does what an operator wants with a saga, and keeps who wanted it and
// why. Completing one whose compensation has begun means that its participants
// have given it back. Compensating one that is done wants that no later saga of the
// pair is there: what participants hold is that one's business. So the pair is locked
// against the drain that would begin one. Errors: like.ErrNotFound, ErrActRefused.
func (l *Ledger) ActOnSaga(ctx context.Context, id, act string, by By) error {
	var done, there int
	who, why := by.args()
	err := l.inTx(ctx, act+" a saga", func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `
			SELECT FROM likes l JOIN sagas s ON s.item_id = l.item_id AND s.user_id = l.user_id
			 WHERE s.id = $1 FOR UPDATE OF l`, id)
		if err != nil {
			return err
		}
		return tx.QueryRow(ctx, `
			WITH target AS (
				SELECT s.id, s.state FROM sagas s
				 WHERE s.id = $4 AND (s.state IN ('pending', 'stuck') OR s.state = 'compensating' AND $1 <> 'compensate'
				    OR s.state = 'done' AND $1 = 'compensate' AND NOT EXISTS (
				       SELECT FROM sagas n WHERE n.item_id = s.item_id AND n.user_id = s.user_id AND n.version > s.version))
				   FOR UPDATE
			)`+actSQL+`, (SELECT count(*) FROM sagas WHERE id = $4)`,
			act, who, why, id).Scan(&done, &there)
	})
	switch {
	case err != nil:
		return err
	case there == 0:
		return failed(act+" a saga", like.ErrNotFound)
	case done == 0:
		return fmt.Errorf("%s a saga: %w", act, ErrActRefused)
	}
	return nil
}

// RetryHanging makes the next attempt of every saga that is stuck, or has had one
// that did not end its step, and returns how many these are.
func (l *Ledger) RetryHanging(ctx context.Context, by By) (n int, err error) {
	who, why := by.args()
	err = l.pool.QueryRow(ctx, `
		WITH target AS (
			SELECT id, state FROM sagas
			 WHERE state = 'stuck' OR state IN ('pending', 'compensating') AND (last_error IS NOT NULL OR attempts > 1)
			   FOR UPDATE
		)`+actSQL, ActRetry, who, why).Scan(&n)
	return n, failed("retry sagas", err)
}
