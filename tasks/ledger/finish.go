package ledger

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"plusone/hotpath/like"
)

// rollbackTime bounds a rollback, which also runs when the drain's time is up.
const rollbackTime = 2 * time.Second

// noTransaction is what Postgres says of a connection without one.
const noTransaction = 'I'

// Finish says that every entry up to and including to is in this transaction, and
// commits, in one round trip.
//
// After an error the outcome is unknown: the next Begin tells by its watermark. A
// repeat is harmless either way.
func (b *Batch) Finish(ctx context.Context, to like.Version) error {
	var q pgx.Batch
	b.queueAdvance(&q, to)
	q.Queue(`commit`) // does not run when the statement before it fails
	err := b.tx.SendBatch(ctx, &q).Close()
	if err == nil {
		b.release()
	}
	return failed("finish a drain", err)
}

// Advance says that every entry up to and including to is in this transaction.
// A smaller version than the watermark changes nothing.
func (b *Batch) Advance(ctx context.Context, to like.Version) error {
	var q pgx.Batch
	b.queueAdvance(&q, to)
	return failed("advance the watermark", b.tx.SendBatch(ctx, &q).Close())
}

func (b *Batch) queueAdvance(q *pgx.Batch, to like.Version) {
	q.Queue(`
		UPDATE watermarks
		   SET version = greatest(version, $2), floor = greatest(floor, $2), drained_at = now()
		 WHERE shard = $1`, b.shard, to)
}

// Commit ends the transaction as it is; see Finish for its errors.
func (b *Batch) Commit(ctx context.Context) error {
	done, err := b.tx.Exec(ctx, `commit`)
	if err == nil && done.String() == "ROLLBACK" { // a statement before has failed
		err = pgx.ErrTxCommitRollback
	}
	if err == nil {
		b.release()
	}
	return failed("commit a drain", err)
}

// release gives the connection back to the pool, which closes it while a
// transaction is open.
func (b *Batch) release() {
	b.conn.Release()
	b.conn = nil
}

// Rollback ends the transaction without a trace; after a commit it does nothing.
// When it cannot be sent, the connection is closed, which has the same effect.
func (b *Batch) Rollback(ctx context.Context) {
	if b.conn == nil {
		return
	}
	if b.conn.Conn().PgConn().TxStatus() != noTransaction {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTime)
		defer cancel()
		_, _ = b.conn.Exec(ctx, `rollback`)
	}
	b.release()
}
