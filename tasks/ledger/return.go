package ledger

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"plusone/hotpath/like"
)

// returnLock is held by the one process that takes writes back to Redis.
const returnLock = 0x706c7573_6261636b // "plusback"

// Return is the transaction that takes writes back to Redis. When its process is
// stopped it ends by itself, and the next process may try. It is not safe for
// concurrent use.
type Return struct{ tx pgx.Tx }

// BeginReturn opens it. Errors: ErrLocked when another process is at it,
// like.ErrElsewhere when writes go to Redis already, like.ErrUnavailable.
func (l *Ledger) BeginReturn(ctx context.Context) (*Return, error) {
	tx, err := l.pool.Begin(ctx)
	if err != nil {
		return nil, failed("begin a return", err)
	}
	r := &Return{tx}
	if err := r.begin(ctx); err != nil {
		r.Rollback(ctx)
		return nil, failed("begin a return", err)
	}
	return r, nil
}

func (r *Return) begin(ctx context.Context) error {
	if _, err := r.tx.Exec(ctx, `SET LOCAL idle_in_transaction_session_timeout = '5s'`); err != nil {
		return err
	}
	var free, direct bool
	err := r.tx.QueryRow(ctx, `
		SELECT pg_try_advisory_xact_lock($1), writes_to = 'ledger' FROM modes`, int64(returnLock)).Scan(&free, &direct)
	switch {
	case err != nil:
		return err
	case !direct:
		return like.ErrElsewhere
	case !free:
		return ErrLocked
	}
	return nil
}

// Watermarks returns the watermark of every shard as it is now.
func (r *Return) Watermarks(ctx context.Context) (map[int]like.Version, error) {
	marks, err := versions(r.tx.Query(ctx, `SELECT shard, version FROM watermarks`))
	return marks, failed("read watermarks", err)
}

// DirectItem is an item that was written directly. Its place in its shard's
// order is Version and ID together; the zero DirectItem is before all.
type DirectItem struct {
	ID      string
	Version like.Version
}

// Items returns a shard's next items that were written directly, at most limit. An item
// that is written again moves to the end, so that paging on finds all.
func (r *Return) Items(ctx context.Context, shard int, after DirectItem, limit int) ([]DirectItem, error) {
	rows, err := r.tx.Query(ctx, `
		SELECT item_id, version FROM direct_items
		 WHERE shard = $1 AND (version, item_id) > ($2, $3)
		 ORDER BY version, item_id LIMIT $4`, shard, after.Version, after.ID, limit)
	if err != nil {
		return nil, failed("list direct items", err)
	}
	items, err := pgx.CollectRows(rows, pgx.RowToStructByPos[DirectItem])
	return items, failed("list direct items", err)
}

// Shut waits for the direct writers and the drains that are under way and lets
// nobody begin until Commit or Rollback. It returns what is known of every shard's
// log, which stays as it is so long. Errors: like.ErrElsewhere when another process has
// been faster.
func (r *Return) Shut(ctx context.Context) (map[int]like.Bounds, error) {
	var q pgx.Batch
	pass(&q, "pg_advisory_xact_lock")
	q.Queue(`SELECT writes_to = 'ledger' FROM modes`).QueryRow(func(row pgx.Row) error {
		var direct bool
		if err := row.Scan(&direct); err != nil || direct {
			return err
		}
		return like.ErrElsewhere
	})
	q.Queue(`SELECT FROM watermarks ORDER BY shard FOR UPDATE`)
	all := map[int]like.Bounds{}
	q.Queue(`SELECT w.shard, ` + boundsSQL + ` FROM watermarks w LEFT JOIN import_marks m USING (shard)`).Query(func(rows pgx.Rows) error {
		var shard int
		var b like.Bounds
		_, err := pgx.ForEachRow(rows, []any{&shard, &b.Watermark, &b.End, &b.Floor}, func() error {
			all[shard] = b
			return nil
		})
		return err
	})
	err := r.tx.SendBatch(ctx, &q).Close()
	return all, failed("shut the gate", err)
}

func versions(rows pgx.Rows, err error) (map[int]like.Version, error) {
	if err != nil {
		return nil, err
	}
	all := map[int]like.Version{}
	var shard int
	var v like.Version
	_, err = pgx.ForEachRow(rows, []any{&shard, &v}, func() error {
		all[shard] = v
		return nil
	})
	return all, err
}

// Commit says that Redis is as it should be up to the end of each log, and that
// writes go there from now on. ends are those ends: they become the watermarks,
// so that a Redis which loses what was done to it is known by its shorter log.
// After an error the outcome is unknown.
func (r *Return) Commit(ctx context.Context, ends map[int]like.Version) error {
	shards, to := make([]int, 0, len(ends)), make([]int64, 0, len(ends))
	for s, v := range ends {
		shards, to = append(shards, s), append(to, int64(v))
	}
	var q pgx.Batch
	q.Queue(`
		UPDATE watermarks w SET version = e.version, floor = greatest(w.floor, e.version)
		  FROM unnest($1::integer[], $2::bigint[]) AS e (shard, version)
		 WHERE w.shard = e.shard AND w.version < e.version`, shards, to)
	q.Queue(`DELETE FROM direct_items`)
	q.Queue(`UPDATE modes SET writes_to = 'redis', epoch = epoch + 1, since = clock_timestamp()`)
	err := r.tx.SendBatch(ctx, &q).Close()
	if err == nil {
		err = r.tx.Commit(ctx)
	}
	return failed("return to redis", err)
}

// Rollback ends the transaction without a trace; after Commit it does nothing.
func (r *Return) Rollback(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTime)
	defer cancel()
	if err := r.tx.Rollback(ctx); err != nil && !errors.Is(err, pgx.ErrTxClosed) {
		_ = r.tx.Conn().Close(ctx) // which ends it, too
	}
}
