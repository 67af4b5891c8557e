package ledger

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

// SagaStranger returns a participant that steps which are due wait for and that is
// none of known, "" when there is none.
func (l *Ledger) SagaStranger(ctx context.Context, known []string) (name string, err error) {
	err = l.pool.QueryRow(ctx, `
		SELECT s.waits_for FROM sagas s
		 WHERE s.state IN ('pending', 'compensating') AND s.waits_for <> ALL ($1) AND `+dueNow+` LIMIT 1`, known).Scan(&name)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", nil
	}
	return name, failed("look for sagas of others", err)
}

// SagaGauge is how many sagas have not ended, by state, and the age of the oldest
// that is not stuck.
type SagaGauge struct {
	Open   map[string]int
	Oldest time.Duration
}

// SagaGauge counts up to most sagas of each state, which bounds the cost.
func (l *Ledger) SagaGauge(ctx context.Context, most int) (SagaGauge, error) {
	g := SagaGauge{Open: map[string]int{}}
	rows, err := l.pool.Query(ctx, `
		SELECT state, count(*), coalesce(extract(epoch FROM now() - min(made_at)), 0)::float8
		  FROM ((SELECT state, made_at FROM sagas WHERE state IN ('pending', 'compensating') LIMIT $1)
		        UNION ALL
		        (SELECT state, NULL FROM sagas WHERE state = 'stuck' LIMIT $1)) s
		 GROUP BY state`, most)
	if err != nil {
		return g, failed("count sagas", err)
	}
	var state string
	var count int
	var age float64
	_, err = pgx.ForEachRow(rows, []any{&state, &count, &age}, func() error {
		g.Open[state] = count
		g.Oldest = max(g.Oldest, time.Duration(age*float64(time.Second)))
		return nil
	})
	return g, failed("count sagas", err)
}

// StuckSaga is a saga that waits for an operator.
type StuckSaga struct {
	ID, Item  string
	WaitsFor  string // who failed to give it back
	LastError string
	At        time.Time // since when its last step goes on
}

// StuckUntold returns stuck sagas that nobody was told of.
func (l *Ledger) StuckUntold(ctx context.Context, limit int) ([]StuckSaga, error) {
	rows, err := l.pool.Query(ctx, `
		SELECT id, item_id, coalesce(participants[step], ''), coalesce(last_error, ''), since
		  FROM sagas WHERE state = 'stuck' AND NOT alerted ORDER BY id LIMIT $1`, limit)
	if err != nil {
		return nil, failed("look for stuck sagas", err)
	}
	stuck, err := pgx.CollectRows(rows, pgx.RowToStructByPos[StuckSaga])
	return stuck, failed("look for stuck sagas", err)
}

// StuckTold says that somebody was told of them.
func (l *Ledger) StuckTold(ctx context.Context, ids []string) error {
	_, err := l.pool.Exec(ctx, `UPDATE sagas SET alerted = true WHERE id = ANY ($1)`, ids)
	return failed("note an alert", err)
}

// PruneSagas forgets sagas that have ended and began before olderThan ago, unless
// one of their pair has not ended, which needs to know what was before it. It
// returns how many it removed, also beside an error.
func (l *Ledger) PruneSagas(ctx context.Context, olderThan time.Duration) (removed int64, err error) {
	for after := "sag_"; err == nil; {
		var shard int
		err = l.pool.QueryRow(ctx, `SELECT shard FROM sagas WHERE id > $1 ORDER BY id LIMIT 1`, after).Scan(&shard)
		if errors.Is(err, pgx.ErrNoRows) {
			return removed, nil
		}
		from := "sag_" + strconv.Itoa(shard)
		after = from + "." // '.' follows '-'
		if err == nil {
			err = l.pruneSagas(ctx, from+"-", olderThan, &removed)
		}
	}
	return removed, failed("prune sagas", err)
}

// pruneSagas looks at one shard's, whose ids are in the order of time: their
// milliseconds have 13 digits.
func (l *Ledger) pruneSagas(ctx context.Context, shard string, olderThan time.Duration, removed *int64) error {
	to := shard + strconv.FormatInt(time.Now().Add(-olderThan).UnixMilli(), 10)
	for {
		gone, err := l.pool.Exec(ctx, `
			DELETE FROM sagas WHERE id IN (
				SELECT s.id FROM sagas s
				 WHERE s.id > $1 AND s.id < $2 AND s.ended_at < now() - $3::interval
				   AND NOT EXISTS (SELECT FROM sagas o
				                    WHERE o.item_id = s.item_id AND o.user_id = s.user_id AND o.ended_at IS NULL)
				 ORDER BY s.id LIMIT $4)`, shard, to, olderThan, prunePage)
		*removed += gone.RowsAffected()
		if err != nil || gone.RowsAffected() < prunePage {
			return err
		}
	}
}
