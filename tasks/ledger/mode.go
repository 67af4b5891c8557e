package ledger

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"plusone/hotpath/like"
)

// The way of the mode. Between the two steps of a switch to the ledger nobody
// writes anywhere.
//
//	redis ──Switch──▶ ledger, since NULL ──Switch──▶ ledger ──Return──▶ redis
//	                  (a crash here: the next process that asks does the second step)

// Beat notes that a process lives and returns where all of them write. An
// answer is true as of some moment after the call began.
func (l *Ledger) Beat(ctx context.Context, b like.Beat) (m like.Mode, err error) {
	var ahead *time.Duration
	if b.AheadKnown {
		ahead = &b.Ahead
	}
	var since *time.Time
	err = l.pool.QueryRow(ctx, `
		WITH beat AS (
			INSERT INTO processes AS p (id, role, at, redis_ok, redis_ahead, seen)
			VALUES ($1, $2, now(), $3, $4, $5)
			ON CONFLICT (id) DO UPDATE
			   SET at = now(), redis_ok = EXCLUDED.redis_ok,
			       redis_ahead = coalesce(EXCLUDED.redis_ahead, p.redis_ahead),
			       seen = greatest(p.seen, EXCLUDED.seen)
		), dead AS (
			DELETE FROM processes WHERE id IN (
				SELECT id FROM processes WHERE at < now() - interval '1 hour' AND id <> $1 FOR UPDATE SKIP LOCKED)
		)
		SELECT writes_to = 'ledger', epoch, since, patience, now() FROM modes`,
		b.Process, b.Role, b.RedisOK, ahead, b.Seen,
	).Scan(&m.Direct, &m.Epoch, &since, &m.Patience, &m.Now)
	if since != nil {
		m.Since = *since
	}
	return m, failed("note a heartbeat", err)
}

// Switch makes all processes write straight to the ledger, unless the mode has
// changed since epoch or another process has said within the last second that it
// reaches Redis. A switch that comes soon after the last return doubles the
// patience.
//
// since is set by a statement of its own, after the commit of the one that
// changed the mode: whoever was still told "redis" had asked before since.
func (l *Ledger) Switch(ctx context.Context, process string, epoch int64) error {
	_, err := l.pool.Exec(ctx, `
		UPDATE modes
		   SET writes_to = 'ledger', epoch = epoch + 1, since = NULL,
		       patience = CASE WHEN epoch > 0 AND now() - since < interval '1 minute' THEN least(2 * patience, interval '1 minute')
		                       ELSE interval '2 seconds' END
		 WHERE writes_to = 'redis' AND epoch = $2
		   AND NOT EXISTS (SELECT FROM processes
		                    WHERE id <> $1 AND redis_ok AND at > now() - interval '1 second')`, process, epoch)
	if err == nil {
		_, err = l.pool.Exec(ctx, `
			UPDATE modes SET since = clock_timestamp() WHERE writes_to = 'ledger' AND since IS NULL`)
	}
	return failed("switch to the ledger", err)
}

// CheckMode returns like.ErrElsewhere while writes go to the ledger.
func (l *Ledger) CheckMode(ctx context.Context) error {
	var direct bool
	err := l.pool.QueryRow(ctx, `SELECT writes_to = 'ledger' FROM modes`).Scan(&direct)
	if err == nil && direct {
		err = like.ErrElsewhere
	}
	return failed("read the mode", err)
}

// Used reports whether likes have ever been written here.
func (l *Ledger) Used(ctx context.Context) (used bool, err error) {
	err = l.pool.QueryRow(ctx, `
		SELECT EXISTS (SELECT FROM watermarks WHERE version > 0 OR floor > 0)`).Scan(&used)
	return used, failed("look for likes", err)
}

// gate is the advisory lock between direct writers, who share it, and the return
// to Redis, which has it alone. Unlike row locks it is given in the order of
// asking, so that writers can't keep the return waiting for ever.
const gate = 0x706c7573_67617465 // "plusgate"

// pass begins what a transaction sends that goes through the gate: it does not
// wait for ever, and when its process is stopped in the middle it does not keep
// the others waiting. lock is pg_advisory_xact_lock or its _shared form.
func pass(q *pgx.Batch, lock string) {
	q.Queue(`SET LOCAL lock_timeout = '5s'`)
	q.Queue(`SET LOCAL idle_in_transaction_session_timeout = '5s'`)
	q.Queue(`SELECT `+lock+`($1)`, int64(gate))
}
