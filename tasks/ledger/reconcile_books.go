package ledger

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// Items returns up to limit items above an id, in byte order, that have rows
// or a count.
func (l *Ledger) Items(ctx context.Context, after string, limit int) ([]string, error) {
	rows, err := l.pool.Query(ctx, `
		WITH RECURSIVE liked AS (
			-- from item to item by the primary key, whatever the number of their rows
			(SELECT item_id FROM likes WHERE item_id > $1 ORDER BY item_id LIMIT 1)
			UNION ALL
			SELECT (SELECT l.item_id FROM likes l WHERE l.item_id > liked.item_id ORDER BY l.item_id LIMIT 1)
			  FROM liked WHERE liked.item_id IS NOT NULL
		), voted AS (
			(SELECT item_id FROM votes WHERE item_id > $1 ORDER BY item_id LIMIT 1)
			UNION ALL
			SELECT (SELECT v.item_id FROM votes v WHERE v.item_id > voted.item_id ORDER BY v.item_id LIMIT 1)
			  FROM voted WHERE voted.item_id IS NOT NULL
		)
		(SELECT item_id FROM liked WHERE item_id IS NOT NULL LIMIT $2)
		UNION
		(SELECT item_id FROM voted WHERE item_id IS NOT NULL LIMIT $2)
		UNION
		(SELECT item_id FROM item_counts WHERE item_id > $1 ORDER BY item_id LIMIT $2)
		ORDER BY item_id LIMIT $2`, after, limit)
	if err != nil {
		return nil, failed("list items", err)
	}
	items, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return items, failed("list items", err)
}

// Sums are an item's count, and the part of it that is votes.
type Sums struct{ Count, Votes int64 }

// WrongCount is an item whose count or votes are not the sum of its rows.
type WrongCount struct {
	Item        string
	Books, Rows Sums
}

// CheckCounts compares the counts of items with their rows, in one snapshot,
// and returns those that differ.
func (l *Ledger) CheckCounts(ctx context.Context, items []string) ([]WrongCount, error) {
	rows, err := l.pool.Query(ctx, `
		-- One pass over the table's pages for all items: see Digests.
		SELECT q.item_id, coalesce(c.count, 0), coalesce(c.votes, 0),
		       coalesce(r.sum, 0) + coalesce(v.sum, 0), coalesce(v.sum, 0)
		  FROM unnest($1::text[]) AS q (item_id)
		  LEFT JOIN item_counts c ON c.item_id = q.item_id
		  LEFT JOIN (
			SELECT item_id, sum(weight) AS sum FROM likes WHERE item_id = ANY ($1) AND liked GROUP BY item_id
		 ) AS r ON r.item_id = q.item_id
		  LEFT JOIN (
			SELECT item_id, sum(weight) AS sum FROM votes WHERE item_id = ANY ($1) AND counted GROUP BY item_id
		 ) AS v ON v.item_id = q.item_id
		 WHERE coalesce(c.count, 0) <> coalesce(r.sum, 0) + coalesce(v.sum, 0)
		    OR coalesce(c.votes, 0) <> coalesce(v.sum, 0)`, items)
	if err != nil {
		return nil, failed("check counts", err)
	}
	wrong, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (w WrongCount, err error) {
		return w, row.Scan(&w.Item, &w.Books.Count, &w.Books.Votes, &w.Rows.Count, &w.Rows.Votes)
	})
	return wrong, failed("check counts", err)
}

// Recount sets an item's count and votes to the sums of its rows and returns what
// they were and are; they are equal when there was nothing to do. bucket is the item's.
//
// The count's row is locked before the rows are summed: a drain that has moved
// rows which the sum does not see waits for the lock, and adds to the new count.
func (l *Ledger) Recount(ctx context.Context, item string, bucket int) (before, after Sums, err error) {
	err = l.inTx(ctx, "recount an item", func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `
			INSERT INTO item_counts (item_id, bucket, count) VALUES ($1, $2, 0)
			ON CONFLICT (item_id) DO NOTHING`, item, bucket)
		if err != nil {
			return err
		}
		err = tx.QueryRow(ctx, `
			SELECT count, coalesce(votes, 0) FROM item_counts WHERE item_id = $1 FOR UPDATE`, item).Scan(&before.Count, &before.Votes)
		if err != nil {
			return err
		}
		return tx.QueryRow(ctx, `
			UPDATE item_counts SET count = truth.count, votes = truth.votes FROM (`+sumSQL+`) AS truth
			 WHERE item_id = $1
			RETURNING item_counts.count, coalesce(item_counts.votes, 0)`, item).Scan(&after.Count, &after.Votes)
	})
	return before, after, err
}
