package ledger

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// newsMost is how many of the last windows are looked at for what changed lately:
// it bounds the cost of asking, since they are found by their seq.
const newsMost = 10_000

// HotItem is an item whose count has changed lately.
type HotItem struct {
	Item  string
	Count int64 // of the ledger, now
	Moved int64 // the sum of what its windows moved the count by, up or down
	Net   int64 // where that has led
	Last  time.Time
}

// HotItems lists the items that moved most within a time, as far as the last 10,000
// windows of notifications and those that are still open tell. A like and an unlike
// within one window are no change.
func (l *Ledger) HotItems(ctx context.Context, within time.Duration, limit int) ([]HotItem, error) {
	rows, err := l.pool.Query(ctx, `
		WITH news AS (
			(SELECT item_id, delta, now() AS at FROM item_counts
			  WHERE closes_at IS NOT NULL ORDER BY closes_at DESC LIMIT $3)
			UNION ALL
			SELECT item_id, delta, closed_at
			  FROM (SELECT item_id, delta, closed_at FROM notifications WHERE seq > 0 ORDER BY seq DESC LIMIT $3) AS last
			 WHERE closed_at > now() - $1::interval
		), hot AS (
			SELECT item_id, sum(abs(delta))::bigint AS moved, sum(delta)::bigint AS net, max(at) AS last
			  FROM news GROUP BY item_id ORDER BY moved DESC, item_id LIMIT $2
		)
		SELECT h.item_id, coalesce(c.count, 0), h.moved, h.net, h.last
		  FROM hot h LEFT JOIN item_counts c USING (item_id)
		 ORDER BY h.moved DESC, h.item_id`, within, limit, newsMost)
	if err != nil {
		return nil, failed("look for hot items", err)
	}
	hot, err := pgx.CollectRows(rows, pgx.RowToStructByPos[HotItem])
	return hot, failed("look for hot items", err)
}

// ItemWindow is a closed window of an item's changes.
type ItemWindow struct {
	Seq          int64
	Count, Delta int64
	From, To     time.Time
}

// ItemWindows lists an item's windows out of the last 10,000 of all items, the newest
// first.
func (l *Ledger) ItemWindows(ctx context.Context, item string, limit int) ([]ItemWindow, error) {
	rows, err := l.pool.Query(ctx, `
		SELECT seq, count, delta, opened_at, closed_at
		  FROM (SELECT * FROM notifications WHERE seq > 0 ORDER BY seq DESC LIMIT $3) AS last
		 WHERE item_id = $1 ORDER BY seq DESC LIMIT $2`, item, limit, newsMost)
	if err != nil {
		return nil, failed("list windows of an item", err)
	}
	windows, err := pgx.CollectRows(rows, pgx.RowToStructByPos[ItemWindow])
	return windows, failed("list windows of an item", err)
}
