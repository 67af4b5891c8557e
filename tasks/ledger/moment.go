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

// Sums are an item's count and votes, with the watermark of its shard.
func (m *Moment) Sums(ctx context.Context, shard int, item string) (s Sums, watermark like.Version, err error) {
	err = m.tx.QueryRow(ctx, `
		SELECT coalesce(c.count, 0), coalesce(c.votes, 0), w.version
		  FROM watermarks w LEFT JOIN item_counts c ON c.item_id = $2
		 WHERE w.shard = $1`, shard, item).Scan(&s.Count, &s.Votes, &watermark)
	if errors.Is(err, pgx.ErrNoRows) {
		err = like.ErrNotFound
	}
	return s, watermark, failed("read a count", err)
}

// Recounted are what an item's count and votes must be: the sums of its rows.
func (m *Moment) Recounted(ctx context.Context, item string) (s Sums, err error) {
	err = m.tx.QueryRow(ctx, `SELECT count, coalesce(votes, 0) FROM (`+sumSQL+`) AS truth`, item).Scan(&s.Count, &s.Votes)
	return s, failed("sum an item's rows", err)
}

// Votes tells what became of votes of an item, order kept.
func (m *Moment) Votes(ctx context.Context, item string, refs []string) ([]like.VoteState, error) {
	return votesOf(ctx, m.tx, item, refs)
}

// Rows looks pairs up, users[i] of items[i]; order kept.
func (m *Moment) Rows(ctx context.Context, items, users []string) ([]Known, error) {
	return rowsOf(ctx, m.tx, items, users)
}
