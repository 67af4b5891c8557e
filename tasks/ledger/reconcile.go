package ledger

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"plusone/hotpath/like"
)

// turnLocks is the class of the advisory locks by which reconcilers share the
// shards; the other half of each lock's key is the shard.
const turnLocks = 0x706c7573

// Turn holds the locks of one reconciler: all of them on one connection, so that
// they end with it. It is not safe for concurrent use.
type Turn struct{ conn *pgxpool.Conn }

// Turn takes a connection for locks. Close gives it back.
func (l *Ledger) Turn(ctx context.Context) (*Turn, error) {
	conn, err := l.pool.Acquire(ctx)
	if err != nil {
		return nil, failed("take a connection for locks", err)
	}
	return &Turn{conn: conn}, nil
}

// Take locks a shard (or -1, the books) unless another reconciler has it.
func (t *Turn) Take(ctx context.Context, shard int) (bool, error) {
	var taken bool
	err := t.conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1, $2)`, turnLocks, shard).Scan(&taken)
	return taken, failed("lock a shard for reconciling", err)
}

// Give unlocks a shard.
func (t *Turn) Give(ctx context.Context, shard int) error {
	_, err := t.conn.Exec(ctx, `SELECT pg_advisory_unlock($1, $2)`, turnLocks, shard)
	return failed("unlock a shard", err)
}

// Close ends all locks that are still held.
func (t *Turn) Close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTime)
	defer cancel()
	if _, err := t.conn.Exec(ctx, `SELECT pg_advisory_unlock_all()`); err != nil {
		_ = t.conn.Conn().Close(ctx) // which ends them, too
	}
	t.conn.Release()
}

// Checked notes that a shard (or -1, the books) was reconciled wholly.
func (l *Ledger) Checked(ctx context.Context, shard int) error {
	_, err := l.pool.Exec(ctx, `
		INSERT INTO checks (shard, checked_at) VALUES ($1, now())
		ON CONFLICT (shard) DO UPDATE SET checked_at = EXCLUDED.checked_at`, shard)
	return failed("note a check", err)
}

// CheckedWithin reports whether a shard was reconciled wholly in the last d, by
// anybody.
func (l *Ledger) CheckedWithin(ctx context.Context, shard int, d time.Duration) (bool, error) {
	var recent bool
	err := l.pool.QueryRow(ctx, `
		SELECT EXISTS (SELECT FROM checks WHERE shard = $1 AND checked_at > now() - $2::interval)`,
		shard, d).Scan(&recent)
	return recent, failed("read a check", err)
}

// LikedRow is a row that says liked.
type LikedRow struct {
	Item, User string
	Version    like.Version
}

// Pairs returns the liked rows of items, at most limit.
func (l *Ledger) Pairs(ctx context.Context, items []string, limit int) ([]LikedRow, error) {
	rows, err := l.pool.Query(ctx, `
		SELECT item_id, user_id, version FROM likes WHERE item_id = ANY ($1) AND liked LIMIT $2`, items, limit)
	if err != nil {
		return nil, failed("read pairs", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[LikedRow])
	return found, failed("read pairs", err)
}

// LikedPage returns an item's liked rows above a user id, in byte order.
func (l *Ledger) LikedPage(ctx context.Context, item, after string, limit int) ([]LikedRow, error) {
	rows, err := l.pool.Query(ctx, `
		SELECT item_id, user_id, version FROM likes
		 WHERE item_id = $1 AND user_id > $2 AND liked
		 ORDER BY user_id LIMIT $3`, item, after, limit)
	if err != nil {
		return nil, failed("page through likers", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[LikedRow])
	return found, failed("page through likers", err)
}

// Known is what the ledger has of a pair.
type Known struct {
	Has     bool // there is a row
	Liked   bool
	Version like.Version
}

// Rows looks pairs up, users[i] of items[i]; order kept.
func (l *Ledger) Rows(ctx context.Context, items, users []string) ([]Known, error) {
	return rowsOf(ctx, l.pool, items, users)
}

// querier is a pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

func rowsOf(ctx context.Context, q querier, items, users []string) ([]Known, error) {
	rows, err := q.Query(ctx, `
		SELECT r.version IS NOT NULL, coalesce(r.liked, false), coalesce(r.version, 0)
		  FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS q (item_id, user_id, place)
		  LEFT JOIN likes r ON r.item_id = q.item_id AND r.user_id = q.user_id
		 ORDER BY q.place`, items, users)
	if err != nil {
		return nil, failed("look pairs up", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Known])
	return found, failed("look pairs up", err)
}

// Repair is one finding of the reconciler, as the table repairs keeps it.
type Repair struct {
	Run           string
	Shard         int // -1: found by the ledger's check of itself
	Item, User    string
	Side          string // counter or ledger: which side was wrong
	Before, After string
	Cause         string
	Repaired      bool
}

// Note keeps findings.
func (l *Ledger) Note(ctx context.Context, found []Repair) error {
	var batch pgx.Batch
	for _, r := range found {
		batch.Queue(`
			INSERT INTO repairs (run, shard, item_id, user_id, side, before, after, cause, repaired)
			VALUES ($1, nullif($2, -1), $3, nullif($4, ''), $5, $6, $7, $8, $9)`,
			r.Run, r.Shard, storable(r.Item, 1000), storable(r.User, 1000), r.Side, r.Before, r.After, r.Cause, r.Repaired)
	}
	return failed("note repairs", l.pool.SendBatch(ctx, &batch).Close())
}
