package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"plusone/hotpath/like"
)

// begin passes the gate, locks the shards, reads what the ledger has, and gives
// each shard its version: all in one round trip, each statement with a snapshot
// of its own.
func (w *direct) begin(ctx context.Context, tx pgx.Tx, seen like.Version) error {
	var q pgx.Batch
	var clock clock
	pass(&q, "pg_advisory_xact_lock_shared")
	w.queueMode(&q, &clock)
	w.queueFloors(&q)
	w.queuePairs(&q)
	w.queueItems(&q)
	if err := tx.SendBatch(ctx, &q).Close(); err != nil {
		return err
	}
	at := clock.now.Add(clock.ahead + versionAhead)
	for _, p := range w.pairs {
		s := w.items[p.item].shard
		w.versions[s] = max(w.versions[s], p.wasAt)
	}
	for s, floor := range w.versions {
		after := max(floor, seen, clock.seen).Time().Add(time.Millisecond)
		w.versions[s] = max(like.DirectAt(at), like.DirectAt(after))
	}
	return nil
}

// clock is what the processes know of Redis'.
type clock struct {
	now   time.Time // the ledger's
	ahead time.Duration
	seen  like.Version
}

// queueMode asks whether direct writes are allowed now. now() is when this
// transaction began.
func (w *direct) queueMode(q *pgx.Batch, c *clock) {
	q.Queue(`
		SELECT m.writes_to = 'ledger', coalesce(now() >= m.since + $1::interval, false), l.shards,
		       clock_timestamp(), coalesce(p.ahead, interval '0'), coalesce(p.seen, 0)
		  FROM modes m CROSS JOIN layout l
		 CROSS JOIN (SELECT max(redis_ahead) AS ahead, max(seen) AS seen FROM processes) p`, like.DirectAfter,
	).QueryRow(func(row pgx.Row) error {
		var direct, due bool
		var shards int
		if err := row.Scan(&direct, &due, &shards, &c.now, &c.ahead, &c.seen); err != nil {
			return err
		}
		switch {
		case !direct:
			return like.ErrElsewhere
		case !due:
			return fmt.Errorf("%w: the switch to the ledger is still under way", like.ErrUnavailable)
		case shards != w.opt.Shards:
			return differ(w.opt.Shards, shards)
		}
		return nil
	})
}

// queueFloors locks the shards in their order, which waits for drains.
func (w *direct) queueFloors(q *pgx.Batch) {
	q.Queue(`
		SELECT shard, floor FROM watermarks WHERE shard = ANY ($1) ORDER BY shard FOR UPDATE`, w.shards,
	).Query(func(rows pgx.Rows) error {
		var shard int
		var floor like.Version
		_, err := pgx.ForEachRow(rows, []any{&shard, &floor}, func() error {
			w.versions[shard] = floor
			return nil
		})
		if err == nil && len(w.versions) != len(w.shards) {
			err = fmt.Errorf("%w: a shard among %v has no watermark", like.ErrUnavailable, w.shards)
		}
		return err
	})
}

func (w *direct) queuePairs(q *pgx.Batch) {
	items, users := make([]string, len(w.pairs)), make([]string, len(w.pairs))
	for i, p := range w.pairs {
		items[i], users[i] = w.items[p.item].id, p.user
	}
	q.Queue(`
		SELECT coalesce(l.liked, false), coalesce(l.version, 0), coalesce(l.weight, 1)
		  FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS q (item_id, user_id, n)
		  LEFT JOIN likes l ON l.item_id = q.item_id AND l.user_id = q.user_id
		 ORDER BY q.n`, items, users,
	).Query(func(rows pgx.Rows) error {
		i := 0
		var liked bool
		var version like.Version
		var weight int64
		_, err := pgx.ForEachRow(rows, []any{&liked, &version, &weight}, func() error {
			p := &w.pairs[i]
			p.was, p.wasAt, p.weight = liked, version, weight
			i++
			return nil
		})
		return err
	})
}

func (w *direct) queueItems(q *pgx.Batch) {
	items := make([]string, len(w.items))
	for i, it := range w.items {
		items[i] = it.id
	}
	q.Queue(`
		SELECT coalesce(c.count, 0), coalesce(f.frozen, false)
		  FROM unnest($1::text[]) WITH ORDINALITY AS q (item_id, n)
		  LEFT JOIN item_counts c ON c.item_id = q.item_id
		  LEFT JOIN frozen_items f ON f.item_id = q.item_id
		 ORDER BY q.n`, items,
	).Query(func(rows pgx.Rows) error {
		i := 0
		var count int64
		var frozen bool
		_, err := pgx.ForEachRow(rows, []any{&count, &frozen}, func() error {
			w.items[i].count, w.items[i].frozen = count, frozen
			i++
			return nil
		})
		return err
	})
}
