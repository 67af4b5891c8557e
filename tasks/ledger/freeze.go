package ledger

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"plusone/hotpath/like"
)

// What an operator may do to an item.
const (
	ActFreeze    = "freeze"
	ActUnfreeze  = "unfreeze"
	ActReconcile = "reconcile" // compare it, now
)

// FrozenItem is an item that takes no new likes, or took none once.
type FrozenItem struct {
	Item   string    `json:"item"`
	Frozen bool      `json:"frozen"`
	Since  time.Time `json:"since"`
	Who    string    `json:"who"`
	Reason string    `json:"reason"`
}

// SetFrozen freezes items, or unfreezes them; those that are so already it leaves as
// they are, but the act is kept. It waits for the direct writes that are under way,
// and for a return to Redis: whoever writes directly, or returns, after it knows of
// it. direct says that likes are written straight to the ledger. Errors:
// like.ErrUnavailable.
func (l *Ledger) SetFrozen(ctx context.Context, items []string, bucket func(string) int, frozen bool, by By) (direct bool, err error) {
	items = slices.Compact(slices.Sorted(slices.Values(items)))
	buckets := make([]int16, len(items))
	for i, item := range items {
		buckets[i] = int16(bucket(item))
	}
	err = l.inTx(ctx, "freeze items", func(tx pgx.Tx) error {
		direct, err = lockFreezes(ctx, tx)
		if err != nil {
			return err
		}
		return setFrozen(ctx, tx, items, buckets, frozen, by)
	})
	return direct, err
}

// lockFreezes lets one at a time freeze, so that versions are seen in their order.
func lockFreezes(ctx context.Context, tx pgx.Tx) (direct bool, err error) {
	var q pgx.Batch
	pass(&q, "pg_advisory_xact_lock")
	q.Queue(`LOCK TABLE frozen_items IN SHARE ROW EXCLUSIVE MODE`)
	q.Queue(`SELECT writes_to = 'ledger' FROM modes`).QueryRow(func(row pgx.Row) error { return row.Scan(&direct) })
	return direct, tx.SendBatch(ctx, &q).Close()
}

// itemStates tells of each item whether it is frozen.
func itemStates(ctx context.Context, tx pgx.Tx, items []string) ([]string, error) {
	rows, err := tx.Query(ctx, `
		SELECT CASE WHEN f.frozen THEN 'frozen' ELSE 'open' END
		  FROM unnest($1::text[]) WITH ORDINALITY AS q (item_id, n) LEFT JOIN frozen_items f USING (item_id) ORDER BY n`, items)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// NoteItem keeps that something was done to an item which changes nothing of whether
// it is frozen.
func (l *Ledger) NoteItem(ctx context.Context, item, act string, by By) error {
	return l.inTx(ctx, "note an act on an item", func(tx pgx.Tx) error {
		states, err := itemStates(ctx, tx, []string{item})
		if err != nil {
			return err
		}
		return noteActs(ctx, tx, onItem, act, by, []string{item}, states)
	})
}

func setFrozen(ctx context.Context, tx pgx.Tx, items []string, buckets []int16, frozen bool, by By) error {
	states, err := itemStates(ctx, tx, items)
	if err != nil {
		return err
	}
	act := ActUnfreeze
	if frozen {
		act = ActFreeze
	}
	who, why := by.args()
	_, err = tx.Exec(ctx, `
		INSERT INTO frozen_items AS f (item_id, bucket, frozen, version, who, reason)
		SELECT q.item_id, q.bucket, $3,
		       -- the clock, so that a ledger from a backup goes on above what Redis has heard of
		       greatest((SELECT coalesce(max(version), 0) FROM frozen_items),
		                (extract(epoch FROM clock_timestamp()) * 1e6)::bigint) + q.n, $4, $5
		  FROM unnest($1::text[], $2::smallint[]) WITH ORDINALITY AS q (item_id, bucket, n)
		  LEFT JOIN frozen_items o USING (item_id)
		 WHERE coalesce(o.frozen, false) <> $3
		ON CONFLICT (item_id) DO UPDATE
		   SET frozen = EXCLUDED.frozen, version = EXCLUDED.version, since = now(), who = EXCLUDED.who, reason = EXCLUDED.reason`,
		items, buckets, frozen, who, why)
	if err != nil {
		return err
	}
	return noteActs(ctx, tx, onItem, act, by, items, states)
}

// Freezes is counter.Freezer.
func (l *Ledger) Freezes(ctx context.Context, shards, shard int, after int64, limit int) ([]like.Freeze, error) {
	rows, err := l.pool.Query(ctx, `
		SELECT item_id, frozen, version FROM frozen_items
		 WHERE version > $3 AND bucket % $1 = $2 ORDER BY version LIMIT $4`, shards, shard, after, limit)
	if err != nil {
		return nil, failed("ask for frozen items", err)
	}
	page, err := pgx.CollectRows(rows, pgx.RowToStructByPos[like.Freeze])
	return page, failed("ask for frozen items", err)
}

// FreezeMarks returns the version of the last change of each shard that has any, and
// how many items are frozen.
func (l *Ledger) FreezeMarks(ctx context.Context, shards int) (newest map[int]int64, frozen int, err error) {
	rows, err := l.pool.Query(ctx, `
		SELECT bucket % $1, max(version), count(*) FILTER (WHERE frozen) FROM frozen_items GROUP BY 1`, shards)
	if err != nil {
		return nil, 0, failed("look for frozen items", err)
	}
	newest = map[int]int64{}
	var shard, n int
	var version int64
	_, err = pgx.ForEachRow(rows, []any{&shard, &version, &n}, func() error {
		newest[shard] = version
		frozen += n
		return nil
	})
	return newest, frozen, failed("look for frozen items", err)
}

// FrozenItems lists the items that are frozen now, by id, those behind after.
func (l *Ledger) FrozenItems(ctx context.Context, after string, limit int) ([]FrozenItem, error) {
	rows, err := l.pool.Query(ctx, `
		SELECT item_id, frozen, since, who, reason FROM frozen_items
		 WHERE frozen AND item_id > $1 ORDER BY item_id LIMIT $2`, after, limit)
	if err != nil {
		return nil, failed("list frozen items", err)
	}
	items, err := pgx.CollectRows(rows, pgx.RowToStructByPos[FrozenItem])
	return items, failed("list frozen items", err)
}

// FrozenItem tells of one item, and what operators did to it. Who and Since are
// those of the last change.
func (l *Ledger) FrozenItem(ctx context.Context, item string) (f FrozenItem, acts []Act, err error) {
	f.Item = item
	err = l.pool.QueryRow(ctx, `
		SELECT frozen, since, who, reason FROM frozen_items WHERE item_id = $1`, item).Scan(&f.Frozen, &f.Since, &f.Who, &f.Reason)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return f, nil, failed("look at an item", err)
	}
	acts, err = l.acts(ctx, onItem, item)
	return f, acts, err
}

// ItemView is an item as programs read it.
type ItemView struct {
	Item   string     `json:"item"`
	Frozen bool       `json:"frozen"`
	Since  *time.Time `json:"since,omitempty"`
	Who    string     `json:"who,omitempty"`
	Reason string     `json:"reason,omitempty"`
	Acts   []Act      `json:"acts"`
}

// ShowItem is an item with what operators did to it.
func ShowItem(f FrozenItem, acts []Act) ItemView {
	v := ItemView{Item: f.Item, Frozen: f.Frozen, Who: f.Who, Reason: f.Reason, Acts: acts}
	if !f.Since.IsZero() {
		v.Since = &f.Since
	}
	return v
}
