package ledger

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"plusone/hotpath/like"
)

// SagaReturn is a change that a saga takes back, while nothing that concerns its pair
// can reach the ledger: the change stands there, and every entry of the log up to
// After is in it.
type SagaReturn struct {
	Saga  ClaimedSaga
	After like.Version
}

// ReturnSagas makes the last step of sagas that were given back by all who had to:
// the change itself. shards[i] is that of the item of sagas[i], as it is now.
//
// With the rows of the pairs locked, so that no drain gets past an entry that
// names one, it tells for each:
//
//	another saga of the pair follows     the pair is its business: compensated
//	the row says the opposite            it was taken back or changed: compensated
//	the row is newer and says the same   somebody wants it again: compensated, and a
//	                                     saga of its own asks the participants anew
//	the row is the change                undo it, in Redis; the next look, after a
//	                                     drain, finds one of the others
//
// undo gets what is to be undone and answers for each when to look again, and an
// error that is kept. finish gets those that would be compensated now, and answers
// with the same, no error meaning that they may. Nothing is written here but states, so a crash
// anywhere, or an answer of Redis that was lost, only costs another look.
//
// Receivers that were told of a change, which was compensated by hand after all had
// agreed, are told the opposite in a notification of window.
func (l *Ledger) ReturnSagas(
	ctx context.Context, sagas []ClaimedSaga, shards []int, window time.Duration,
	undo func(context.Context, []SagaReturn) (pauses []time.Duration, why []string),
	finish func(context.Context, []ClaimedSaga) (pauses []time.Duration, why []string),
) (ended Recorded, err error) {
	err = l.inTx(ctx, "take changes back", func(tx pgx.Tx) error {
		if err := lockPairs(ctx, tx, sagas); err != nil {
			return err
		}
		stands, marks, err := standing(ctx, tx, sagas, shards)
		if err != nil {
			return err
		}
		over, again := []ClaimedSaga{}, []SagaReturn{}
		for i, s := range sagas {
			if stands[i] {
				again = append(again, SagaReturn{Saga: s, After: marks[i]})
				continue
			}
			over = append(over, s)
		}
		came := make([]StepResult, 0, len(sagas))
		if len(again) > 0 {
			pauses, why := undo(ctx, again)
			for i, r := range again {
				came = append(came, StepResult{Saga: r.Saga, Result: StepRetry, Pause: pauses[i], Reason: why[i]})
			}
		}
		if len(over) > 0 {
			pauses, why := finish(ctx, over)
			for i, s := range over {
				r := StepResult{Saga: s, Result: StepDone}
				if why[i] != "" {
					r = StepResult{Saga: s, Result: StepRetry, Pause: pauses[i], Reason: why[i]}
				}
				came = append(came, r)
			}
		}
		ended, err = l.endSagas(ctx, tx, came, window)
		return err
	})
	return ended, err
}

// lockPairs is a statement of its own: only a snapshot taken under the locks has
// what the drains before have committed. They lock in the same order.
func lockPairs(ctx context.Context, tx pgx.Tx, sagas []ClaimedSaga) error {
	items, users := make([]string, len(sagas)), make([]string, len(sagas))
	for i, s := range sagas {
		items[i], users[i] = s.Item, s.User
	}
	return lockRows(ctx, tx, items, users)
}

func lockRows(ctx context.Context, tx pgx.Tx, items, users []string) error {
	var q pgx.Batch
	q.Queue(`SET LOCAL idle_in_transaction_session_timeout = '10s'`)
	q.Queue(`
		SELECT FROM likes l JOIN unnest($1::text[], $2::text[]) AS q (item_id, user_id)
		    ON l.item_id = q.item_id AND l.user_id = q.user_id
		 ORDER BY l.item_id, l.user_id FOR UPDATE OF l`, items, users)
	return tx.SendBatch(ctx, &q).Close()
}

// standing tells of each saga whether its change is what the ledger has, and up to
// where it has the log of the item's shard.
func standing(ctx context.Context, tx pgx.Tx, sagas []ClaimedSaga, shards []int) (stands []bool, marks []like.Version, err error) {
	ids := make([]string, len(sagas))
	for i, s := range sagas {
		ids[i] = s.ID
	}
	rows, err := tx.Query(ctx, `
		SELECT coalesce(l.version = s.version AND l.liked = s.liked, false)
		       AND NOT EXISTS (SELECT FROM sagas n WHERE n.item_id = s.item_id AND n.user_id = s.user_id AND n.version > s.version),
		       coalesce(w.version, 0)
		  FROM unnest($1::text[], $2::integer[]) WITH ORDINALITY AS q (id, shard, n)
		  JOIN sagas s ON s.id = q.id
		  LEFT JOIN likes l ON l.item_id = s.item_id AND l.user_id = s.user_id
		  LEFT JOIN watermarks w ON w.shard = q.shard
		 ORDER BY q.n`, ids, shards)
	if err != nil {
		return nil, nil, err
	}
	var is bool
	var mark like.Version
	_, err = pgx.ForEachRow(rows, []any{&is, &mark}, func() error {
		stands, marks = append(stands, is), append(marks, mark)
		return nil
	})
	if err == nil && len(stands) != len(sagas) {
		err = like.ErrNotFound
	}
	return stands, marks, err
}

// endSagas records the outcome of the last step, and begins the sagas of what
// somebody wants again.
func (l *Ledger) endSagas(ctx context.Context, tx pgx.Tx, results []StepResult, window time.Duration) (Recorded, error) {
	return record(ctx, tx, "end sagas", recordTurn+`, moved AS (
		UPDATE sagas s
		   SET state = CASE WHEN r.result = 'done' THEN 'compensated' ELSE s.state END,
		       ended_at = CASE WHEN r.result = 'done' THEN now() END,
		       next_at = now() + r.pause, claimed_until = NULL,
		       last_error = CASE WHEN r.reason = '' THEN s.last_error ELSE r.reason END
		  FROM said r
		 WHERE s.id = r.id AND s.state = 'compensating' AND s.step = 0 AND s.attempts = r.attempts
		RETURNING s.state, s.ended_at, s.item_id, s.user_id, s.version, s.liked, s.participants, s.notification
	), untold AS (
		INSERT INTO notifications (item_id, delta, closes_at)
		SELECT item_id, sum(CASE WHEN liked THEN -1 ELSE 1 END), now() + $7::interval
		  FROM moved WHERE ended_at IS NOT NULL AND notification IS NOT NULL AND $7::interval > interval '0'
		 GROUP BY item_id ORDER BY item_id COLLATE "C"
		ON CONFLICT (item_id) WHERE seq IS NULL DO UPDATE SET delta = notifications.delta + EXCLUDED.delta
	), anew AS (
		INSERT INTO sagas (id, shard, version, item_id, user_id, liked, participants)
		SELECT `+sagaID("c.bucket % y.shards", "l.version", "l.item_id", "l.user_id")+`,
		       c.bucket % y.shards, l.version, l.item_id, l.user_id, l.liked, m.participants
		  FROM moved m
		  JOIN likes l ON l.item_id = m.item_id AND l.user_id = m.user_id AND l.liked = m.liked AND l.version > m.version
		  JOIN item_counts c ON c.item_id = m.item_id
		 CROSS JOIN layout y
		 WHERE m.ended_at IS NOT NULL
		   AND NOT EXISTS (SELECT FROM sagas n WHERE n.item_id = m.item_id AND n.user_id = m.user_id AND n.version > m.version)
		ON CONFLICT DO NOTHING
	)`+recordEnd, results, window)
}
