package ledger

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"plusone/hotpath/like"
)

// VoteRow is the last state of a vote within a batch.
type VoteRow struct {
	Item, Ref string
	State     like.VoteState
	Bucket    int // of the item
}

// Compare orders votes by item, then ref, both by their bytes: the order in which
// ApplyVotes takes them.
func (r VoteRow) Compare(o VoteRow) int {
	if c := strings.Compare(r.Item, o.Item); c != 0 {
		return c
	}
	return strings.Compare(r.Ref, o.Ref)
}

// ApplyVotes is Apply for votes. Participants have no say in them, so what they change
// is told to receivers whether or not there are any.
func (b *Batch) ApplyVotes(ctx context.Context, rows []VoteRow) (Applied, error) {
	if len(rows) == 0 {
		return Applied{}, nil
	}
	args, err := voteColumns(rows)
	if err != nil {
		return Applied{}, err
	}
	return b.savepoint(ctx, fmt.Sprintf("apply %d votes", len(rows)), applyVotesSQL, append(args, b.window))
}

// applyVotesSQL upserts votes and moves item_counts: $1–$5 are the columns of the
// votes, $6 and $7 the items among them with their buckets, sorted, $8 the length of a
// window of notifications.
//
// While a vote counts its weight stands, whatever somebody says later; so what a row
// adds to its count can be told from the row alone.
const applyVotesSQL = `
WITH moved AS (
	INSERT INTO votes AS v (item_id, ref, counted, weight, version)
	SELECT r.item_id, r.ref, r.counted, r.weight, r.version
	  FROM unnest($1::text[], $2::text[], $3::boolean[], $4::integer[], $5::bigint[]) AS r (item_id, ref, counted, weight, version)
	ON CONFLICT (item_id, ref) DO UPDATE
	   SET prev_counted = v.counted, counted = EXCLUDED.counted, version = EXCLUDED.version,
	       weight = CASE WHEN v.counted THEN v.weight ELSE EXCLUDED.weight END
	 WHERE v.version < EXCLUDED.version
	RETURNING item_id, weight * (counted::int - prev_counted::int)::bigint AS delta
), deltas AS (
	SELECT item_id, sum(delta) AS delta FROM moved GROUP BY item_id HAVING sum(delta) <> 0
), counted AS (
	INSERT INTO item_counts AS c (item_id, bucket, count, votes, opened_at, closes_at, delta)
	SELECT d.item_id, i.bucket, d.delta, d.delta, now(), now() + $8::interval, d.delta
	  FROM deltas d
	  JOIN unnest($6::text[], $7::smallint[]) AS i (item_id, bucket) ON i.item_id = d.item_id
	 ORDER BY d.item_id COLLATE "C"
	ON CONFLICT (item_id) DO UPDATE
	   SET count = c.count + EXCLUDED.count,
	       votes = coalesce(c.votes, 0) + EXCLUDED.votes,` + foldedSQL

// voteColumns turns votes into the arrays of applyVotesSQL, $1–$7.
func voteColumns(rows []VoteRow) ([]any, error) {
	n := len(rows)
	items, refs, counted := make([]string, n), make([]string, n), make([]bool, n)
	weights, versions := make([]int32, n), make([]int64, n)
	var names []string
	var buckets []int16
	for i, r := range rows {
		if i > 0 && rows[i-1].Compare(r) >= 0 {
			return nil, fmt.Errorf("ledger: apply: votes %d and %d are not in order", i-1, i)
		}
		if i == 0 || rows[i-1].Item != r.Item {
			names, buckets = append(names, r.Item), append(buckets, int16(r.Bucket))
		}
		items[i], refs[i], counted[i] = r.Item, r.Ref, r.State.Counted
		weights[i], versions[i] = r.State.Weight, int64(r.State.Version)
	}
	return []any{items, refs, counted, weights, versions, names, buckets}, nil
}

// Vote is what the ledger has of a vote, within this transaction. One that is no valid
// text has no row.
func (b *Batch) Vote(ctx context.Context, item, ref string) (s like.VoteState, err error) {
	if !isText(item) || !isText(ref) {
		return s, nil
	}
	err = b.tx.QueryRow(ctx, `
		SELECT v.ref IS NOT NULL, coalesce(v.counted, false), coalesce(v.weight, 0), coalesce(v.version, 0)
		  FROM (SELECT) AS always LEFT JOIN votes v ON v.item_id = $1 AND v.ref = $2`, item, ref).
		Scan(&s.Known, &s.Counted, &s.Weight, &s.Version)
	return s, failed("read a vote", err)
}

// Votes tells what became of the votes refs[i] of items[i], order kept, and the
// watermarks of shards[i], all of one moment. Errors: like.ErrUnavailable, also when
// there is no such shard.
func (l *Ledger) Votes(ctx context.Context, items, refs []string, shards []int) ([]like.VoteState, []like.Version, error) {
	rows, err := l.pool.Query(ctx, `
		SELECT w.version, v.ref IS NOT NULL, coalesce(v.counted, false), coalesce(v.weight, 0), coalesce(v.version, 0)
		  FROM unnest($1::text[], $2::text[], $3::integer[]) WITH ORDINALITY AS q (item_id, ref, shard, n)
		  JOIN watermarks w ON w.shard = q.shard
		  LEFT JOIN votes v ON v.item_id = q.item_id AND v.ref = q.ref
		 ORDER BY q.n`, items, refs, shards)
	if err != nil {
		return nil, nil, failed("look votes up", err)
	}
	states, marks := make([]like.VoteState, 0, len(items)), make([]like.Version, 0, len(items))
	var s like.VoteState
	var mark like.Version
	_, err = pgx.ForEachRow(rows, []any{&mark, &s.Known, &s.Counted, &s.Weight, &s.Version}, func() error {
		states, marks = append(states, s), append(marks, mark)
		return nil
	})
	if err == nil && len(states) != len(items) {
		err = fmt.Errorf("%w: a shard has no watermark", like.ErrUnavailable)
	}
	return states, marks, failed("look votes up", err)
}

// Sizes tells how large items are, order kept.
func (l *Ledger) Sizes(ctx context.Context, items []string) ([]like.Size, error) {
	rows, err := l.pool.Query(ctx, `
		SELECT coalesce(c.count - coalesce(c.votes, 0), 0), coalesce(c.votes, 0), c.votes IS NOT NULL
		  FROM unnest($1::text[]) WITH ORDINALITY AS q (item_id, n)
		  LEFT JOIN item_counts c ON c.item_id = q.item_id
		 ORDER BY q.n`, items)
	if err != nil {
		return nil, failed("read sizes", err)
	}
	sizes, err := pgx.CollectRows(rows, pgx.RowToStructByPos[like.Size])
	return sizes, failed("read sizes", err)
}

func votesOf(ctx context.Context, q querier, item string, refs []string) ([]like.VoteState, error) {
	rows, err := q.Query(ctx, `
		SELECT v.ref IS NOT NULL, coalesce(v.counted, false), coalesce(v.weight, 0), coalesce(v.version, 0)
		  FROM unnest($2::text[]) WITH ORDINALITY AS q (ref, n)
		  LEFT JOIN votes v ON v.item_id = $1 AND v.ref = q.ref
		 ORDER BY q.n`, item, refs)
	if err != nil {
		return nil, failed("look votes up", err)
	}
	states, err := pgx.CollectRows(rows, pgx.RowToStructByPos[like.VoteState])
	return states, failed("look votes up", err)
}
