package ledger

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"plusone/hotpath/like"
)

// A notification's way. Its window is open in the row of the item's count, where
// Apply folds what it changes; a net change of zero is a change, too. (With
// participants the end of a saga folds, into a row without a seq.) Closed it is
// a row of its own, of which nothing but the attempts of its deliveries changes.
//
//	flip ──Apply──▶ open ──close──▶ closed ──▶ deliveries: pending ─┬▶ delivered
//	                 │ ▲             (seq)                  ▲   │    └▶ exhausted
//	                 └─┘ more flips                         └───┘ failed, next rung

// closingLock is held while seqs are given out: they become visible in their
// own order, so a reader that pages by seq never misses one.
const closingLock = 0x706c7573_6e746679 // "plusntfy"

// CloseNotifications closes up to limit windows that have run out, oldest
// first: each gets its place in the order of Notifications, its item's count
// and one pending delivery per receiver. It returns how many it closed; fewer
// than limit means that no more are due (or that a drain holds them: next time).
//
// It is one round trip and so one transaction, which holds the locks of the
// counts for no longer than Postgres takes, whatever becomes of this process.
func (l *Ledger) CloseNotifications(ctx context.Context, receivers []string, limit int) (closed int, err error) {
	var q pgx.Batch
	q.Queue(`SELECT pg_advisory_xact_lock($1)`, int64(closingLock))
	q.Queue(closeSQL, limit, receivers).QueryRow(func(row pgx.Row) error { return row.Scan(&closed) })
	err = l.pool.SendBatch(ctx, &q).Close()
	return closed, failed("close notifications", err)
}

// closeSQL waits for nobody, so a drain that moves several counts in its own order
// can't deadlock with it. An id is the time and the seq: a ledger that was restored
// and gives a seq again gives another id, which receivers do not take for a repeat.
const closeSQL = `
WITH due AS (
	SELECT item_id FROM item_counts
	 WHERE closes_at <= statement_timestamp()
	 ORDER BY closes_at
	 LIMIT $1
	   FOR UPDATE SKIP LOCKED
), closed AS (
	-- by an array, or a plan made without statistics reads all counts
	UPDATE item_counts SET closes_at = NULL
	 WHERE item_id = ANY (ARRAY (SELECT item_id FROM due))
	RETURNING item_id, count, delta, opened_at, nextval('notifications_seq') AS seq
), noted AS (
	INSERT INTO notifications (id, seq, item_id, delta, count, opened_at, closes_at, closed_at)
	SELECT 'ntf_' || to_hex((extract(epoch FROM statement_timestamp()) * 1000)::bigint) || to_hex(seq),
	       seq, item_id, delta, count, opened_at, statement_timestamp(), statement_timestamp()
	  FROM closed
	RETURNING seq
), older AS (
	-- those of sagas, which fold what all agreed to here, and what an older binary
	-- has left
	UPDATE notifications n
	   SET seq = nextval('notifications_seq'), closed_at = statement_timestamp(),
	       count = coalesce((SELECT c.count FROM item_counts c WHERE c.item_id = n.item_id), 0)
	 WHERE id IN (SELECT id FROM notifications
	               WHERE seq IS NULL AND closes_at <= statement_timestamp()
	               ORDER BY closes_at LIMIT $1 FOR UPDATE SKIP LOCKED)
	RETURNING seq
), all_closed AS (
	SELECT seq FROM noted UNION ALL SELECT seq FROM older
), told AS (
	INSERT INTO deliveries (seq, receiver)
	SELECT seq, receiver FROM all_closed, unnest($2::text[]) AS r (receiver)
)
SELECT count(*) FROM all_closed`

// Unaddressed is the State of a notification that no receiver was set for: it
// waits to be asked for.
const Unaddressed = "unaddressed"

// Notifications returns up to limit closed notifications with a seq above
// after, in order. State is over all receivers: pending while one of them is,
// else exhausted if one is, else delivered; Unaddressed without any. Attempts is the
// most that a receiver took, LastError that of one which still lacks it.
func (l *Ledger) Notifications(ctx context.Context, after int64, limit int) ([]like.Notification, error) {
	rows, err := l.pool.Query(ctx, notificationSQL+` WHERE n.seq > $1 ORDER BY n.seq LIMIT $2`, after, limit)
	if err != nil {
		return nil, failed("read notifications", err)
	}
	notes, err := pgx.CollectRows(rows, pgx.RowToStructByPos[like.Notification])
	return notes, failed("read notifications", err)
}

const notificationSQL = `
	SELECT n.seq, n.id, n.item_id, n.count, n.delta, n.opened_at, n.closed_at,
	       coalesce(d.state, '` + Unaddressed + `'), coalesce(d.attempts, 0), coalesce(d.last_error, '')
	  FROM notifications n
	 CROSS JOIN LATERAL (
		-- by the alphabet, pending > exhausted > delivered
		SELECT max(state) AS state, max(attempts) AS attempts,
		       (array_agg(last_error ORDER BY state DESC) FILTER (WHERE last_error IS NOT NULL))[1] AS last_error
		  FROM deliveries WHERE seq = n.seq
	 ) d`

// prunePage is how many notifications one statement of a prune looks at.
const prunePage = 1000

// PruneNotifications forgets closed notifications older than olderThan, with
// their deliveries, whatever became of them: what nobody was told by then is not
// told any more. It returns how many it removed, also beside an error.
func (l *Ledger) PruneNotifications(ctx context.Context, olderThan time.Duration) (int64, error) {
	var removed, after int64
	for {
		var n, last int64
		// Seqs and closing times grow together: the first page that holds
		// something young ends it.
		err := l.pool.QueryRow(ctx, `
			WITH page AS (
				SELECT seq, closed_at < now() - $3::interval AS old
				FROM notifications WHERE seq > $1 ORDER BY seq LIMIT $2
			), gone AS (
				DELETE FROM notifications WHERE seq IN (SELECT seq FROM page WHERE old) RETURNING seq
			)
			SELECT (SELECT count(*) FROM gone), coalesce((SELECT max(seq) FROM page HAVING bool_and(old)), 0)`,
			after, prunePage, olderThan).Scan(&n, &last)
		if err != nil {
			return removed, failed("prune notifications", err)
		}
		removed += n
		if last == 0 {
			return removed, nil
		}
		after = last
	}
}
