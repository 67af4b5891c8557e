package ledger

import (
	"context"

	"github.com/jackc/pgx/v5"

	"plusone/hotpath/like"
)

// importLocks is the class of the advisory locks that imports share while their rows are
// in Redis and not committed; the other half of a lock's key is the shard.
const importLocks = 0x706c7569 // "plui"

// Import is the transaction that brings rows of one shard in from elsewhere, or part of
// them. It is not safe for concurrent use.
//
//	gate, shared           no item is being frozen, and writes do not move to or from Redis
//	watermarks, row share  the number of shards stays as it is
//	import lock, shared    a reconciler that is to look again waits for the commit, and so
//	                       does who looks at another Redis
//	upsert                 locks the rows: a drain that has something newer for one of
//	                       them waits, and what it has stays in the log until the commit
//	import_marks           last, so that nobody who has it waits for anything
//
// A row that plusone has made itself stays, whatever it says: all that users have done is
// newer than what is imported. One that was imported gives way to a newer import.
type Import struct {
	tx        pgx.Tx
	shard     int
	watermark like.Version
}

// BeginImport opens it. Errors: like.ErrElsewhere while likes are written here directly,
// ErrShardsDiffer, like.ErrUnavailable.
func (l *Ledger) BeginImport(ctx context.Context, shards, shard int) (*Import, error) {
	tx, err := l.pool.Begin(ctx)
	if err != nil {
		return nil, failed("begin an import", err)
	}
	im := &Import{tx: tx, shard: shard}
	if err := im.begin(ctx, shards); err != nil {
		im.Rollback(ctx)
		return nil, failed("begin an import", err)
	}
	return im, nil
}

func (im *Import) begin(ctx context.Context, shards int) error {
	var q pgx.Batch
	pass(&q, "pg_advisory_xact_lock_shared")
	q.Queue(`SET LOCAL statement_timeout = '5s'`)
	q.Queue(`LOCK TABLE watermarks IN ROW SHARE MODE`)
	q.Queue(`SELECT pg_advisory_xact_lock_shared($1, $2)`, importLocks, im.shard)
	q.Queue(`
		SELECT m.writes_to = 'ledger', l.shards, w.version
		  FROM modes m CROSS JOIN layout l JOIN watermarks w ON w.shard = $1`, im.shard,
	).QueryRow(func(row pgx.Row) error {
		var direct bool
		var have int
		err := row.Scan(&direct, &have, &im.watermark)
		switch {
		case err != nil:
			return err
		case direct:
			return like.ErrElsewhere
		case have != shards:
			return differ(shards, have)
		}
		return nil
	})
	return im.tx.SendBatch(ctx, &q).Close()
}

// Watermark is a watermark of the shard from before any row was written.
func (im *Import) Watermark() like.Version { return im.watermark }

// Frozen returns those of items that take no new likes.
func (im *Import) Frozen(ctx context.Context, items []string) ([]string, error) {
	rows, err := im.tx.Query(ctx, `SELECT item_id FROM frozen_items WHERE frozen AND item_id = ANY ($1)`, items)
	if err != nil {
		return nil, failed("ask for frozen items", err)
	}
	frozen, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return frozen, failed("ask for frozen items", err)
}

// Flipped is a row whose state has changed.
type Flipped struct {
	Item, User string
	Liked      bool
}

// Apply writes rows, which are as those of Batch.Apply, and returns how many were new or
// gave way, and what has flipped of the items in resident, sorted. No notification tells
// of it, and no participant is asked. Errors: ErrRefused, like.ErrUnavailable and others;
// only Rollback is left then.
func (im *Import) Apply(ctx context.Context, rows []Row, resident []string) (moved int64, flipped []Flipped, err error) {
	args, err := columns(rows)
	if err != nil {
		return 0, nil, err
	}
	found, err := im.tx.Query(ctx, importSQL, append(args, resident, int64(like.MaxSeq))...)
	if err != nil {
		return 0, nil, failed("import rows", err)
	}
	var item, user *string // NULL: nothing has flipped of those items
	var liked *bool
	_, err = pgx.ForEachRow(found, []any{&moved, &item, &user, &liked}, func() error {
		if item != nil {
			flipped = append(flipped, Flipped{*item, *user, *liked})
		}
		return nil
	})
	return moved, flipped, failed("import rows", err)
}

// importSQL upserts rows and moves item_counts, but no window of notifications. $1–$6 are
// those of applySQL, $7 the items whose flips are wanted, $8 masks the sequence number of
// a version: all imported ones have the same, which nothing else has.
const importSQL = `
WITH moved AS (
	INSERT INTO likes AS l (item_id, user_id, liked, version)
	SELECT r.item_id, r.user_id, r.liked, r.version
	  FROM unnest($1::text[], $2::text[], $3::boolean[], $4::bigint[]) AS r (item_id, user_id, liked, version)
	ON CONFLICT (item_id, user_id) DO UPDATE
	   SET prev_liked = l.liked, liked = EXCLUDED.liked, version = EXCLUDED.version
	 WHERE l.liked <> EXCLUDED.liked AND l.version <= EXCLUDED.version AND l.version & $8 = EXCLUDED.version & $8
	RETURNING item_id, user_id, liked, weight * (liked::int - prev_liked::int) AS delta
), deltas AS (
	SELECT item_id, sum(delta) AS delta FROM moved GROUP BY item_id HAVING sum(delta) <> 0
), counted AS (
	INSERT INTO item_counts AS c (item_id, bucket, count)
	SELECT d.item_id, i.bucket, d.delta
	  FROM deltas d
	  JOIN unnest($5::text[], $6::smallint[]) AS i (item_id, bucket) ON i.item_id = d.item_id
	 ORDER BY d.item_id COLLATE "C"
	ON CONFLICT (item_id) DO UPDATE SET count = c.count + EXCLUDED.count
)
SELECT (SELECT count(*) FROM moved), f.item_id, f.user_id, f.liked
  FROM (SELECT) AS always
  LEFT JOIN moved f ON f.delta <> 0 AND f.item_id = ANY ($7)
 ORDER BY f.item_id COLLATE "C", f.user_id COLLATE "C"`

// Note keeps the id of the marker which the log of the shard got behind what Redis has
// of this import, or one above all that it has given: a log without it is behind the
// ledger. Only Commit and Rollback may follow. Errors: like.ErrUnavailable.
func (im *Import) Note(ctx context.Context, marker like.Version) error {
	_, err := im.tx.Exec(ctx, `
		INSERT INTO import_marks AS m (shard, version) VALUES ($1, $2)
		ON CONFLICT (shard) DO UPDATE SET version = greatest(m.version, EXCLUDED.version)`, im.shard, marker)
	return failed("note the mark of an import", err)
}

// Commit ends it. After an error the outcome is unknown.
func (im *Import) Commit(ctx context.Context) error {
	return failed("commit an import", im.tx.Commit(ctx))
}

// Rollback ends it without a trace; after Commit it does nothing.
func (im *Import) Rollback(ctx context.Context) { rollback(ctx, im.tx) }

// LookAtImport tells what rows would do, as Import.Apply does, and changes nothing.
func (l *Ledger) LookAtImport(ctx context.Context, rows []Row) (moved int64, err error) {
	args, err := columns(rows)
	if err != nil {
		return 0, err
	}
	err = l.pool.QueryRow(ctx, `
		SELECT count(*)
		  FROM unnest($1::text[], $2::text[], $3::boolean[], $4::bigint[]) AS r (item_id, user_id, liked, version)
		  LEFT JOIN likes l ON l.item_id = r.item_id AND l.user_id = r.user_id
		 WHERE l.version IS NULL
		    OR l.liked <> r.liked AND l.version <= r.version AND l.version & $5 = r.version & $5`,
		append(args[:4], int64(like.MaxSeq))...).Scan(&moved)
	return moved, failed("look at an import", err)
}

// AwaitImports waits until every import that has brought rows of a shard to Redis has
// committed them, or rolled back. Others may have begun by then. Errors:
// like.ErrUnavailable.
func (l *Ledger) AwaitImports(ctx context.Context, shard int) error {
	_, err := l.pool.Exec(ctx, `SELECT pg_advisory_xact_lock($1, $2)`, importLocks, shard)
	return failed("wait for imports", err)
}

// Raise makes a shard's floor at least v. Errors: like.ErrUnavailable.
func (l *Ledger) Raise(ctx context.Context, shard int, v like.Version) error {
	_, err := l.pool.Exec(ctx, `UPDATE watermarks SET floor = greatest(floor, $2) WHERE shard = $1`, shard, v)
	return failed("raise a floor", err)
}
