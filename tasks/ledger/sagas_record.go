package ledger

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// What came of a step.
const (
	StepDone     = "done"
	StepRejected = "rejected"
	StepRetry    = "retry" // or nobody knows
	StepNeedless = "needless"
)

// StepResult is what came of a claimed step.
type StepResult struct {
	Saga   ClaimedSaga
	Result string
	Reason string        // for StepRejected and StepRetry
	Pause  time.Duration // before the next attempt, for StepRetry
}

// Recorded counts the sagas by the state in which a record left them.
type Recorded map[string]int

// recordTurn opens every record: the sagas that are still as they were claimed,
// with what came of their step. $1–$6 are columns of StepResult.
const recordTurn = `
WITH said AS (
	SELECT * FROM unnest($1::text[], $2::integer[], $3::integer[], $4::text[], $5::text[], $6::interval[])
	    AS r (id, step, attempts, result, reason, pause)
)`

// recordEnd closes it: the next saga of a pair need not wait any longer.
const recordEnd = `, woken AS (
	UPDATE sagas n SET next_at = now()
	  FROM moved m
	 WHERE m.ended_at IS NOT NULL AND n.item_id = m.item_id AND n.user_id = m.user_id AND n.version > m.version
	   AND n.state = 'pending' AND n.next_at > now()
)
SELECT state, count(*) FROM moved GROUP BY state`

// RecordTries records what participants said of a change. The last one's agreement
// ends the saga and folds the change into a notification of window, none when it
// is 0. A step that has had no answer for as long as patience is taken for
// rejected. What has moved on since it was claimed stays as it is.
func (l *Ledger) RecordTries(ctx context.Context, results []StepResult, patience, window time.Duration) (Recorded, error) {
	return record(ctx, l.pool, "record tries", recordTurn+`, turn AS (
		SELECT s.id, s.item_id, s.user_id, s.version, s.liked, r.reason, r.pause,
		       CASE WHEN r.result = 'done' AND s.step + 1 >= cardinality(s.participants) THEN 'agreed'
		            WHEN r.result = 'retry' AND now() >= s.since + $7::interval THEN 'late'
		            ELSE r.result END AS came
		  FROM sagas s JOIN said r ON r.id = s.id
		 WHERE s.state = 'pending' AND s.step = r.step AND s.attempts = r.attempts
		 ORDER BY s.id
		   FOR UPDATE OF s
	), folded AS (
		-- sorted, so that folds that meet on the same items never deadlock
		INSERT INTO notifications (item_id, delta, closes_at)
		SELECT item_id, sum(CASE WHEN liked THEN 1 ELSE -1 END), now() + $8::interval
		  FROM turn WHERE came = 'agreed' AND $8::interval > interval '0'
		 GROUP BY item_id ORDER BY item_id COLLATE "C"
		ON CONFLICT (item_id) WHERE seq IS NULL DO UPDATE SET delta = notifications.delta + EXCLUDED.delta
		RETURNING item_id, id
	), moved AS (
		UPDATE sagas s
		   SET state = CASE WHEN came IN ('agreed', 'needless') THEN 'done'
		                    WHEN came IN ('rejected', 'late') THEN 'compensating' ELSE 'pending' END,
		       -- one whose answer is not known may have done it
		       step = least(s.step + CASE WHEN came IN ('done', 'agreed', 'late') THEN 1 ELSE 0 END, cardinality(s.participants)),
		       attempts = CASE WHEN came = 'retry' THEN s.attempts ELSE 0 END,
		       since = CASE WHEN came = 'retry' THEN s.since ELSE now() END,
		       next_at = CASE WHEN came = 'retry' THEN now() + t.pause ELSE now() END,
		       claimed_until = NULL,
		       ended_at = CASE WHEN came IN ('agreed', 'needless') THEN now() END,
		       rejected_by = CASE WHEN came IN ('rejected', 'late') THEN s.participants[s.step + 1] END,
		       reason = CASE WHEN came = 'rejected' THEN t.reason
		                     WHEN came = 'late' THEN 'no answer in time: ' || t.reason END,
		       last_error = CASE WHEN came IN ('retry', 'late') THEN t.reason END,
		       -- built once: a join would compare every saga with every item
		       notification = CASE WHEN came = 'agreed' THEN
		                           (SELECT jsonb_object_agg(item_id, id) FROM folded) ->> t.item_id END
		  FROM turn t
		 WHERE s.id = t.id
		RETURNING s.state, s.ended_at, s.item_id, s.user_id, s.version
	)`+recordEnd, results, patience, window)
}

// RecordCompensations records what participants said of giving a change back. Who
// has not done it in most attempts leaves the saga stuck.
func (l *Ledger) RecordCompensations(ctx context.Context, results []StepResult, most int) (Recorded, error) {
	return record(ctx, l.pool, "record compensations", recordTurn+`, moved AS (
		UPDATE sagas s
		   SET state = CASE WHEN r.result <> 'done' AND s.attempts >= $7 THEN 'stuck' ELSE s.state END,
		       step = s.step - CASE WHEN r.result = 'done' THEN 1 ELSE 0 END,
		       attempts = CASE WHEN r.result = 'done' THEN 0 ELSE s.attempts END,
		       since = CASE WHEN r.result = 'done' THEN now() ELSE s.since END,
		       next_at = CASE WHEN r.result = 'done' THEN now() ELSE now() + r.pause END,
		       claimed_until = NULL,
		       last_error = CASE WHEN r.result = 'done' THEN s.last_error ELSE r.reason END
		  FROM said r
		 WHERE s.id = r.id AND s.state = 'compensating' AND s.step = r.step AND s.step > 0 AND s.attempts = r.attempts
		RETURNING s.state, s.ended_at, s.item_id, s.user_id, s.version
	)`+recordEnd, results, most)
}

func record(ctx context.Context, q querier, what, sql string, results []StepResult, more ...any) (Recorded, error) {
	n := len(results)
	ids, said, reasons := make([]string, n), make([]string, n), make([]string, n)
	steps, attempts, pauses := make([]int, n), make([]int, n), make([]time.Duration, n)
	for i, r := range results {
		ids[i], steps[i], attempts[i] = r.Saga.ID, r.Saga.Step, r.Saga.Attempts
		said[i], reasons[i], pauses[i] = r.Result, storable(r.Reason, 500), r.Pause
	}
	rows, err := q.Query(ctx, sql, append([]any{ids, steps, attempts, said, reasons, pauses}, more...)...)
	if err != nil {
		return nil, failed(what, err)
	}
	recorded, state, count := Recorded{}, "", 0
	_, err = pgx.ForEachRow(rows, []any{&state, &count}, func() error {
		recorded[state] = count
		return nil
	})
	return recorded, failed(what, err)
}
