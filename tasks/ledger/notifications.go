package ledger

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"plusone/hotpath/like"
)

// A notification's way. Only a closed one has a seq, and nothing but the
// attempts of its deliveries changes after that.
//
//	flip ──fold──▶ open ──close──▶ closed ──▶ deliveries: pending ─┬▶ delivered
//	                │ ▲             (seq)                  ▲   │    └▶ exhausted
//	                └─┘ more flips                         └───┘ failed, next rung

// closingLock is held while seqs are given out: they become visible in their
// own order, so a reader that pages by seq never misses one.
const closingLock = 0x706c7573_6e746679 // "plusntfy"

// FoldNotifications notes, within the drain's transaction, that the items of
// deltas changed: it opens one window per item, or merges into the open one. A
// net change of zero is a change too. An item may occur more than once.
//
// After an error the fold alone has been undone: the batch may go on and commit
// its likes, and only the news of these changes is lost.
func (b *Batch) FoldNotifications(ctx context.Context, deltas []Delta, window time.Duration) error {
	if len(deltas) == 0 {
		return nil
	}
	var q pgx.Batch // one round trip
	queueFold(&q, deltas, window)
	err := b.tx.SendBatch(ctx, &q).Close()
	if err != nil {
		_, undo := b.tx.Exec(ctx, `ROLLBACK TO SAVEPOINT fold`)
		err = errors.Join(err, undo)
	}
	return failed("fold notifications", err)
}

// queueFold is FoldNotifications as statements, with a savepoint to go back to.
func queueFold(q *pgx.Batch, deltas []Delta, window time.Duration) {
	if len(deltas) == 0 {
		return
	}
	items, sums := make([]string, len(deltas)), make([]int64, len(deltas))
	for i, d := range deltas {
		items[i], sums[i] = d.Item, d.Delta
	}
	q.Queue(`SAVEPOINT fold`)
	// Sorted, so that folds that meet on the same items never deadlock.
	q.Queue(`
		INSERT INTO notifications (item_id, delta, closes_at)
		SELECT item, sum(delta)::bigint, now() + $3::interval
		FROM unnest($1::text[], $2::bigint[]) AS d (item, delta)
		GROUP BY item
		ORDER BY item COLLATE "C"
		ON CONFLICT (item_id) WHERE seq IS NULL
		DO UPDATE SET delta = notifications.delta + EXCLUDED.delta`,
		items, sums, window)
	q.Queue(`RELEASE SAVEPOINT fold`)
}

// CloseNotifications closes up to limit windows that have run out, oldest
// first: each gets its place in the order of Notifications, its item's count
// and one pending delivery per receiver. It returns how many it closed; fewer
// than limit means that no more are due (or that a drain holds them: next time).
func (l *Ledger) CloseNotifications(ctx context.Context, receivers []string, limit int) (int, error) {
	closed := 0
	err := l.inTx(ctx, "close notifications", func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(closingLock)); err != nil {
			return err
		}
		ids, err := lockDue(ctx, tx, limit)
		if err != nil || len(ids) == 0 {
			return err
		}
		closed = len(ids)
		return closeWindows(ctx, tx, ids, receivers)
	})
	if err != nil {
		return 0, err
	}
	return closed, nil
}

// lockDue locks windows that have run out. It waits for nobody, so a drain that
// merges into several of them in its own order can't deadlock with it.
func lockDue(ctx context.Context, tx pgx.Tx, limit int) ([]string, error) {
	rows, err := tx.Query(ctx, `
		SELECT id FROM notifications
		WHERE seq IS NULL AND closes_at <= statement_timestamp()
		ORDER BY closes_at
		LIMIT $1
		FOR UPDATE SKIP LOCKED`, limit)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// closeWindows is a statement after lockDue's, because only a snapshot taken
// under the locks has the counts that go with the deltas: every drain that
// merged has committed, and none can merge any more.
func closeWindows(ctx context.Context, tx pgx.Tx, ids, receivers []string) error {
	_, err := tx.Exec(ctx, `
		WITH closed AS (
			UPDATE notifications n
			SET seq = nextval('notifications_seq'),
			    closed_at = statement_timestamp(),
			    count = coalesce((SELECT c.count FROM item_counts c WHERE c.item_id = n.item_id), 0)
			WHERE n.id = ANY ($1::text[])
			RETURNING n.seq
		)
		INSERT INTO deliveries (seq, receiver)
		SELECT seq, receiver FROM closed, unnest($2::text[]) AS r (receiver)`, ids, receivers)
	return err
}

// Unaddressed is the State of a notification that no receiver was set for: it
// waits to be asked for.
const Unaddressed = "unaddressed"

// Notifications returns up to limit closed notifications with a seq above
// after, in order. State is over all receivers: pending while one of them is,
// else exhausted if one is, else delivered; Unaddressed without any. Attempts is the
// most that a receiver took, LastError that of one which still lacks it.
func (l *Ledger) Notifications(ctx context.Context, after int64, limit int) ([]like.Notification, error) {
	rows, err := l.pool.Query(ctx, `
		SELECT n.seq, n.id, n.item_id, n.count, n.delta, n.opened_at, n.closed_at,
		       coalesce(d.state, $3), coalesce(d.attempts, 0), coalesce(d.last_error, '')
		FROM notifications n
		CROSS JOIN LATERAL (
			-- by the alphabet, pending > exhausted > delivered
			SELECT max(state) AS state, max(attempts) AS attempts,
			       (array_agg(last_error ORDER BY state DESC) FILTER (WHERE last_error IS NOT NULL))[1] AS last_error
			FROM deliveries WHERE seq = n.seq
		) d
		WHERE n.seq > $1
		ORDER BY n.seq
		LIMIT $2`, after, limit, Unaddressed)
	if err != nil {
		return nil, failed("read notifications", err)
	}
	notes, err := pgx.CollectRows(rows, pgx.RowToStructByPos[like.Notification])
	return notes, failed("read notifications", err)
}

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
