package ledger

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"plusone/hotpath/like"
)

// Moment is the ledger as it was at one moment: all that it answers is of one
// snapshot.
type Moment struct{ tx pgx.Tx }

// AtOnce calls do with a Moment, which begins with do's first question. Errors:
// those of do, like.ErrUnavailable.
func (l *Ledger) AtOnce(ctx context.Context, do func(*Moment) error) error {
	tx, err := l.pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return failed("begin a snapshot", err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTime)
		defer cancel()
		_ = tx.Rollback(ctx) // or the connection is closed, which has the same effect
	}()
	return do(&Moment{tx: tx})
}

// Count is an item's count, and the watermark of its shard.
func (m *Moment) Count(ctx context.Context, shard int, item string) (count int64, watermark like.Version, err error) {
	err = m.tx.QueryRow(ctx, `
		SELECT coalesce((SELECT count FROM item_counts WHERE item_id = $2), 0), version
		  FROM watermarks WHERE shard = $1`, shard, item).Scan(&count, &watermark)
	if errors.Is(err, pgx.ErrNoRows) {
		err = like.ErrNotFound
	}
	return count, watermark, failed("read a count", err)
}

// Sum is what an item's count must be: the sum of its liked rows.
func (m *Moment) Sum(ctx context.Context, item string) (sum int64, err error) {
	err = m.tx.QueryRow(ctx, `
		SELECT coalesce(sum(weight), 0) FROM likes WHERE item_id = $1 AND liked`, item).Scan(&sum)
	return sum, failed("sum an item's rows", err)
}

// Rows looks pairs up, users[i] of items[i]; order kept.
func (m *Moment) Rows(ctx context.Context, items, users []string) ([]Known, error) {
	return rowsOf(ctx, m.tx, items, users)
}
