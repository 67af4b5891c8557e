package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"plusone/hotpath/like"
)

// versionAhead is added to Redis' clock as it was last seen, whose reading may
// be wrong by half a round trip, so that a direct write is newer than all that
// Redis took before it.
const versionAhead = 500 * time.Millisecond

// Direct writes likes without Redis. It is safe for concurrent use; calls that
// share a shard wait for each other.
type Direct struct {
	ledger *Ledger
	opt    DirectOptions
}

// DirectOptions are what the ledger can't know by itself.
type DirectOptions struct {
	Shards int
	Bucket func(item string) int // 0 to 4095; the shard is Bucket % Shards
	Window time.Duration         // of notifications; 0: none
}

// NewDirect returns a Direct over l.
func NewDirect(l *Ledger, opt DirectOptions) *Direct { return &Direct{ledger: l, opt: opt} }

// Write applies ops in their order, in one transaction, and answers each.
// results[i].Err wraps like.ErrRefused for ops on a pair that the ledger
// refuses, and like.ErrFrozen for new likes of a frozen item. seen is the highest version that the caller knows of.
//
// The transaction, and why it is safe:
//
//	gate, shared              no return to Redis is under way, and none will begin
//	mode                      writes go to the ledger, and have for so long that
//	                          nobody still believes an answer of Redis
//	watermarks FOR UPDATE     no drain and no other direct write of these shards
//	read, decide, upsert      every op that is accepted writes its pair's row, also
//	                          where nothing changes: an older change in the log must
//	                          lose against it. Who freezes an item has the gate alone
//	floors, direct_items      new log ids will be above; Redis will forget the items
//
// The watermark does not move: entries may wait in the log of the Redis that is
// away. Errors of the call: like.ErrElsewhere and like.ErrUnavailable, nothing
// was applied; like.ErrUnknown, the commit was not answered.
func (d *Direct) Write(ctx context.Context, ops []like.Op, seen like.Version) ([]like.Result, error) {
	w := d.plan(ops)
	tx, err := d.ledger.pool.Begin(ctx)
	if err != nil {
		return nil, w.failed("begin", err)
	}
	defer rollback(ctx, tx)
	b := &Batch{tx: tx, shard: noShard}
	b.Fold(d.opt.Window)
	if err := w.begin(ctx, tx, seen); err != nil {
		return nil, w.failed("begin", err)
	}
	b.participants = d.ledger.participants
	if err := w.apply(ctx, b, w.decide()); err != nil {
		return nil, w.failed("apply", err)
	}
	if err := w.note(ctx, b); err != nil {
		return nil, w.failed("note", err)
	}
	if err := tx.Commit(ctx); err != nil {
		return nil, fmt.Errorf("ledger: commit direct writes: %w: %w", like.ErrUnknown, err)
	}
	return w.results, nil
}

// rollback ends a transaction without a trace; after its commit it does nothing.
func rollback(ctx context.Context, tx pgx.Tx) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTime)
	defer cancel()
	_ = tx.Rollback(ctx)
}

// noShard is the shard of a Batch that moves none.
const noShard = -1

// direct is one Write.
type direct struct {
	*Direct
	ops     []like.Op
	results []like.Result
	pairs   []pair // sorted by item, then user
	items   []item // sorted
	shards  []int  // sorted
	at      []int  // op → pair

	versions map[int]like.Version // by shard
}

// pair is what the ledger has of a pair, and what it shall have.
type pair struct {
	item    int
	user    string
	weight  int64
	was, is bool
	wasAt   like.Version
	taken   bool // an op on it was accepted
	refused error
}

type item struct {
	id            string
	bucket, shard int
	count         int64
	frozen        bool
}

// plan finds the pairs, items and shards of ops.
func (d *Direct) plan(ops []like.Op) *direct {
	w := &direct{Direct: d, ops: ops, results: make([]like.Result, len(ops)), at: make([]int, len(ops)), versions: map[int]like.Version{}}
	order := make([]int, len(ops))
	for i := range order {
		order[i] = i
	}
	key := func(i int) Row { return Row{Item: ops[i].Item, User: ops[i].User} }
	slices.SortFunc(order, func(a, b int) int { return key(a).Compare(key(b)) })
	for n, i := range order {
		op := &ops[i]
		if n == 0 || op.Item != ops[order[n-1]].Item {
			bucket := d.opt.Bucket(op.Item)
			w.items = append(w.items, item{id: op.Item, bucket: bucket, shard: bucket % d.opt.Shards})
			w.shards = append(w.shards, bucket%d.opt.Shards)
		}
		if n == 0 || key(i) != key(order[n-1]) {
			w.pairs = append(w.pairs, pair{item: len(w.items) - 1, user: op.User})
		}
		w.at[i] = len(w.pairs) - 1
	}
	slices.Sort(w.shards)
	w.shards = slices.Compact(w.shards)
	return w
}

// failed says that nothing was applied.
func (w *direct) failed(what string, err error) error {
	if !errors.Is(err, like.ErrElsewhere) && !errors.Is(err, like.ErrUnavailable) {
		err = fmt.Errorf("%w: %w", like.ErrUnavailable, err)
	}
	return fmt.Errorf("ledger: %s direct writes: %w", what, err)
}

// decide walks every pair through its ops and returns the rows to write.
func (w *direct) decide() []Row {
	for i := range w.pairs {
		w.pairs[i].is = w.pairs[i].was
	}
	for i, op := range w.ops {
		p := &w.pairs[w.at[i]]
		if is := wanted(op.Want, p.is); w.takes(p, is) {
			p.is, p.taken = is, true
		}
	}
	rows := make([]Row, 0, len(w.pairs))
	for _, p := range w.pairs {
		it := &w.items[p.item]
		if p.taken { // else the row must not win against what waits in the log
			rows = append(rows, Row{Item: it.id, User: p.user, Liked: p.is, Version: w.versions[it.shard], Bucket: it.bucket})
		}
	}
	return rows
}

// takes reports whether a pair may be made so: a frozen item takes no new likes.
func (w *direct) takes(p *pair, is bool) bool { return !is || p.is || !w.items[p.item].frozen }

func wanted(w like.Want, is bool) bool {
	if w == like.Toggle {
		return !is
	}
	return w == like.Liked
}

// apply writes rows, a part of w's; those that the ledger refuses it leaves out,
// having found them by halving.
func (w *direct) apply(ctx context.Context, b *Batch, rows []Row) error {
	_, err := b.Apply(ctx, rows)
	switch {
	case err == nil:
		return nil
	case !errors.Is(err, ErrRefused):
		return err
	case len(rows) == 1:
		i, _ := slices.BinarySearchFunc(w.pairs, rows[0], func(p pair, r Row) int {
			return Row{Item: w.items[p.item].id, User: p.user}.Compare(r)
		})
		w.pairs[i].refused = fmt.Errorf("%w: %w", like.ErrRefused, err)
		return nil
	}
	half := len(rows) / 2
	if err := w.apply(ctx, b, rows[:half]); err != nil {
		return err
	}
	return w.apply(ctx, b, rows[half:])
}

// answer fills results: the ops once more in their order, without those that were
// refused.
func (w *direct) answer() {
	for i := range w.pairs {
		w.pairs[i].is = w.pairs[i].was
	}
	for i, op := range w.ops {
		p := &w.pairs[w.at[i]]
		it := &w.items[p.item]
		if p.refused != nil {
			w.results[i] = like.Result{Err: p.refused}
			continue
		}
		r := like.Result{Liked: wanted(op.Want, p.is), Source: like.FromLedger}
		if !w.takes(p, r.Liked) {
			w.results[i] = like.Result{Err: like.ErrFrozen}
			continue
		}
		if r.Changed = r.Liked != p.is; r.Changed {
			r.Receipt = like.Receipt{Shard: it.shard, Version: w.versions[it.shard]}
			if it.count += p.weight; !r.Liked {
				it.count -= 2 * p.weight
			}
		}
		p.is, r.Count = r.Liked, it.count
		w.results[i] = r
	}
}

// note raises the floors and remembers the items. It answers the ops.
func (w *direct) note(ctx context.Context, b *Batch) error {
	shards, floors := make([]int, 0, len(w.shards)), make([]int64, 0, len(w.shards))
	for _, s := range w.shards {
		shards, floors = append(shards, s), append(floors, int64(w.versions[s]))
	}
	items, of, versions := make([]string, len(w.items)), make([]int, len(w.items)), make([]int64, len(w.items))
	for i, it := range w.items {
		items[i], of[i], versions[i] = it.id, it.shard, int64(w.versions[it.shard])
	}
	var q pgx.Batch
	q.Queue(`
		UPDATE watermarks w SET floor = greatest(w.floor, f.floor)
		  FROM unnest($1::integer[], $2::bigint[]) AS f (shard, floor) WHERE w.shard = f.shard`, shards, floors)
	q.Queue(`
		INSERT INTO direct_items (item_id, shard, version)
		SELECT * FROM unnest($1::text[], $2::integer[], $3::bigint[])
		ON CONFLICT (item_id) DO UPDATE SET version = EXCLUDED.version`, items, of, versions)
	if err := b.tx.SendBatch(ctx, &q).Close(); err != nil {
		return err
	}
	w.answer()
	return nil
}
