package ledger

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"plusone/hotpath/like"
)

// Row is the last state of a pair within a batch.
type Row struct {
	Item, User string
	Liked      bool
	Version    like.Version
	Bucket     int // of the item: 0 to 4095
}

// Compare orders rows by item, then user, both by their bytes: the order in
// which Apply takes them.
func (r Row) Compare(o Row) int {
	if c := strings.Compare(r.Item, o.Item); c != 0 {
		return c
	}
	return strings.Compare(r.User, o.User)
}

// Delta is by how much one item's count moved, and where to.
type Delta struct {
	Item  string
	Delta int64 // never 0
	Count int64 // after it
}

// Applied is what Apply did.
type Applied struct {
	Rows   int64   // rows that were new or older than their version here
	Deltas []Delta // by item, items whose count stayed are left out
}

// Apply writes rows and moves the counts of their items, all or nothing. rows
// are sorted by Compare and name each pair once; a row that the ledger has with
// the same or a higher version is skipped.
//
// Errors: ErrRefused when the data is to blame: the transaction is as before the
// call and can go on. like.ErrUnavailable and others: only Rollback is left.
func (b *Batch) Apply(ctx context.Context, rows []Row) (Applied, error) {
	if len(rows) == 0 {
		return Applied{}, nil
	}
	args, err := columns(rows)
	if err != nil {
		return Applied{}, err
	}
	sql, args := applySQL, append(args, b.window)
	if len(b.participants) > 0 {
		sql, args = applySagasSQL, append(args[:len(args)-1], (*time.Duration)(nil), b.participants)
	}
	return b.savepoint(ctx, fmt.Sprintf("apply %d rows", len(rows)), sql, args)
}

// savepoint runs a statement that answers as applySQL does, so that the transaction can
// go on without it.
func (b *Batch) savepoint(ctx context.Context, doing, sql string, args []any) (Applied, error) {
	applied, err := b.apply(ctx, sql, args)
	switch {
	case err == nil:
		err = b.recountNegative(ctx, applied.Deltas)
	case isRefusal(err):
		if undo := b.forget(ctx); undo != nil {
			return Applied{}, failed("forget refused rows", undo)
		}
	}
	return applied, failed(doing, err)
}

// applySQL upserts rows and moves item_counts. $1–$4 are the columns of the
// rows, $5 and $6 the items among them with their buckets; all sorted, so that
// concurrent batches lock rows in one order. $7 is the length of a window of
// notifications, NULL for none.
const applySQL = movedSQL + ` AS delta` + countedSQL

const movedSQL = `
WITH moved AS (
	INSERT INTO likes AS l (item_id, user_id, liked, version)
	SELECT r.item_id, r.user_id, r.liked, r.version
	  FROM unnest($1::text[], $2::text[], $3::boolean[], $4::bigint[]) AS r (item_id, user_id, liked, version)
	ON CONFLICT (item_id, user_id) DO UPDATE
	   -- prev_liked is taken from the row as this statement found and locked it;
	   -- a new row has its default, false
	   SET prev_liked = l.liked, liked = EXCLUDED.liked, version = EXCLUDED.version
	 WHERE l.version < EXCLUDED.version
	RETURNING item_id, weight * (liked::int - prev_liked::int)`

const countedSQL = `
), deltas AS (
	SELECT item_id, sum(delta) AS delta FROM moved GROUP BY item_id HAVING sum(delta) <> 0
), counted AS (
	INSERT INTO item_counts AS c (item_id, bucket, count, opened_at, closes_at, delta)
	SELECT d.item_id, i.bucket, d.delta, now(), now() + $7::interval, d.delta
	  FROM deltas d
	  JOIN unnest($5::text[], $6::smallint[]) AS i (item_id, bucket) ON i.item_id = d.item_id
	 ORDER BY d.item_id COLLATE "C"
	ON CONFLICT (item_id) DO UPDATE
	   SET count = c.count + EXCLUDED.count,` + foldedSQL

// foldedSQL ends a statement that has moved the counts of deltas: it folds them into
// the windows of notifications and answers what readApplied reads.
const foldedSQL = `
	       -- the window that is open goes on, else the next one opens
	       opened_at = CASE WHEN c.closes_at IS NULL THEN EXCLUDED.opened_at ELSE c.opened_at END,
	       closes_at = coalesce(c.closes_at, EXCLUDED.closes_at),
	       delta = CASE WHEN c.closes_at IS NULL THEN 0 ELSE c.delta END + EXCLUDED.delta
	RETURNING item_id, count
)
SELECT (SELECT count(*) FROM moved), d.item_id, d.delta::bigint, c.count
  FROM (SELECT) AS always
  LEFT JOIN (deltas d JOIN counted c ON c.item_id = d.item_id) ON true
 ORDER BY d.item_id COLLATE "C"`

// apply sends savepoint, statement and release in one round trip. After an
// error the transaction waits for forget.
func (b *Batch) apply(ctx context.Context, sql string, args []any) (applied Applied, err error) {
	var batch pgx.Batch
	batch.Queue(`SAVEPOINT apply`)
	batch.Queue(sql, args...).Query(func(rows pgx.Rows) error {
		applied, err = readApplied(rows)
		return err
	})
	batch.Queue(`RELEASE SAVEPOINT apply`)
	return applied, b.tx.SendBatch(ctx, &batch).Close()
}

// forget takes the transaction back to where apply found it. These are two round
// trips because nothing else can be prepared before the first is done.
func (b *Batch) forget(ctx context.Context) error {
	if _, err := b.tx.Exec(ctx, `ROLLBACK TO SAVEPOINT apply`); err != nil {
		return err
	}
	_, err := b.tx.Exec(ctx, `RELEASE SAVEPOINT apply`)
	return err
}

func readApplied(rows pgx.Rows) (a Applied, err error) {
	for rows.Next() {
		var item *string // NULL: no count moved
		var delta, count *int64
		if err := rows.Scan(&a.Rows, &item, &delta, &count); err != nil {
			return a, err
		}
		if item != nil {
			a.Deltas = append(a.Deltas, Delta{Item: *item, Delta: *delta, Count: *count})
		}
	}
	return a, rows.Err()
}

// sumSQL is what the rows of the item $1 say: its count, and the part of it that is
// votes, NULL when there never were any.
const sumSQL = `
	SELECT l.sum + coalesce(v.sum, 0) AS count, v.sum AS votes
	  FROM (SELECT coalesce(sum(weight), 0)::bigint AS sum FROM likes WHERE item_id = $1 AND liked) AS l,
	       (SELECT (sum(CASE WHEN counted THEN weight ELSE 0 END))::bigint AS sum FROM votes WHERE item_id = $1) AS v`

// recountNegative puts right a count that fell below zero, which only damage
// from outside can cause. The count's row is locked by the statement that moved
// it, so whoever commits rows of this item later adds to the recounted value.
func (b *Batch) recountNegative(ctx context.Context, deltas []Delta) error {
	for i, d := range deltas {
		if d.Count >= 0 {
			continue
		}
		err := b.tx.QueryRow(ctx, `
			WITH truth AS (`+sumSQL+`
			), recounted AS (
				UPDATE item_counts SET count = truth.count, votes = truth.votes FROM truth WHERE item_id = $1
				RETURNING item_counts.count
			), noted AS (
				INSERT INTO repairs (run, shard, item_id, side, before, after, cause, repaired)
				SELECT 'drain', nullif($2, -1), $1, 'ledger', $3, recounted.count::text,
				       'count was lower than its rows', true
				  FROM recounted
			)
			SELECT count FROM recounted`,
			d.Item, b.shard, fmt.Sprint(d.Count)).Scan(&deltas[i].Count)
		if err != nil {
			return fmt.Errorf("recount %q: %w", d.Item, err)
		}
	}
	return nil
}

// columns turns rows into the arrays of applySQL, $1–$6.
func columns(rows []Row) ([]any, error) {
	n := len(rows)
	items, users := make([]string, n), make([]string, n)
	liked, versions := make([]bool, n), make([]int64, n)
	names, buckets := make([]string, 0, 64), make([]int16, 0, 64)
	for i, r := range rows {
		if i > 0 && rows[i-1].Compare(r) >= 0 {
			return nil, fmt.Errorf("ledger: apply: rows %d and %d are not in order", i-1, i)
		}
		if i == 0 || rows[i-1].Item != r.Item {
			names, buckets = append(names, r.Item), append(buckets, int16(r.Bucket))
		}
		items[i], users[i], liked[i], versions[i] = r.Item, r.User, r.Liked, int64(r.Version)
	}
	return []any{items, users, liked, versions, names, buckets}, nil
}
