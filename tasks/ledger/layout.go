package ledger

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"plusone/hotpath/like"
)

// Layout is what all processes on one ledger share.
type Layout struct {
	Shards int    // 1 to 4096
	Secret []byte // 32 bytes of chance, for signing cursors
}

// Layout returns the ledger's layout, and on first start creates it with a
// secret of its own and one watermark per shard. shards 0 is the ledger's number,
// like.DefaultShards at first. Errors: ErrShardsDiffer with
// both numbers when the ledger belongs to another number of shards (the Layout
// is returned with the ledger's), like.ErrUnavailable.
func (l *Ledger) Layout(ctx context.Context, shards int) (Layout, error) {
	if shards < 0 || shards > like.MaxShards || shards&(shards-1) != 0 {
		return Layout{}, fmt.Errorf("ledger: layout: %d shards: want a power of two up to %d", shards, like.MaxShards)
	}
	var have Layout
	err := l.inTx(ctx, "layout", func(tx pgx.Tx) error {
		if err := createLayout(ctx, tx, cmp.Or(shards, like.DefaultShards)); err != nil {
			return err
		}
		err := tx.QueryRow(ctx, `SELECT shards, secret FROM layout`).Scan(&have.Shards, &have.Secret)
		if shards == 0 {
			shards = have.Shards
		}
		if err != nil || have.Shards != shards {
			return err
		}
		return createWatermarks(ctx, tx, 0, shards)
	})
	if err == nil && have.Shards != shards {
		err = differ(shards, have.Shards)
	}
	return have, err
}

func differ(want, have int) error {
	return fmt.Errorf("%w: asked for %d, the ledger has %d", ErrShardsDiffer, want, have)
}

func createLayout(ctx context.Context, tx pgx.Tx, shards int) error {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails: crypto/rand ends the process instead
	_, err := tx.Exec(ctx, `
		INSERT INTO layout (shards, secret) VALUES ($1, $2) ON CONFLICT (one) DO NOTHING`, shards, secret)
	return err
}

// createWatermarks makes the missing rows of the shards from first to below
// end. Nothing of them is in the ledger as far as it knows, so entries of their
// logs will be drained; but new ids start above everything known.
func createWatermarks(ctx context.Context, tx pgx.Tx, first, end int) error {
	_, err := tx.Exec(ctx, `
		INSERT INTO watermarks (shard, floor)
		SELECT s.shard, coalesce((SELECT max(floor) FROM watermarks), 0)
		  FROM generate_series($1::integer, $2::integer - 1) AS s (shard)
		 ORDER BY s.shard
		ON CONFLICT (shard) DO NOTHING`, first, end)
	return err
}

// ChangeShards makes the ledger belong to another number of shards. All logs of
// the old ones must be drained, and nothing may write to Redis meanwhile.
//
// Items move between shards, so every shard starts above all versions of the
// old ones: the smallest version above them becomes the watermark and the floor
// of each. An old log that keeps its name then ends below its watermark, which
// is the sign to reopen it with every item cold.
//
// Errors: ErrShardsDiffer when the ledger does not belong to from shards,
// like.ErrUnavailable.
func (l *Ledger) ChangeShards(ctx context.Context, from, to int) error {
	if to < 1 || to > like.MaxShards || to&(to-1) != 0 {
		return fmt.Errorf("ledger: change shards: %d shards: want a power of two up to %d", to, like.MaxShards)
	}
	return l.inTx(ctx, "change shards", func(tx pgx.Tx) error {
		if err := lockLayout(ctx, tx, from); err != nil {
			return err
		}
		return relayout(ctx, tx, to)
	})
}

// lockLayout locks the layout, the mode, which must be redis, and every
// watermark, which waits for drains.
func lockLayout(ctx context.Context, tx pgx.Tx, want int) error {
	var have int
	err := tx.QueryRow(ctx, `SELECT shards FROM layout FOR UPDATE`).Scan(&have)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return like.ErrNotFound
	case err != nil:
		return err
	case have != want:
		return differ(want, have)
	}
	if _, err = tx.Exec(ctx, `LOCK TABLE modes IN SHARE MODE`); err != nil {
		return err
	}
	var direct bool
	err = tx.QueryRow(ctx, `SELECT writes_to = 'ledger' FROM modes`).Scan(&direct)
	switch {
	case err != nil:
		return err
	case direct:
		return like.ErrElsewhere
	}
	_, err = tx.Exec(ctx, `LOCK TABLE watermarks IN EXCLUSIVE MODE`)
	return err
}

func relayout(ctx context.Context, tx pgx.Tx, to int) error {
	var start like.Version
	err := tx.QueryRow(ctx, `
		SELECT greatest((SELECT max(floor) FROM watermarks), (SELECT max(version) FROM import_marks), 0) + 1`).Scan(&start)
	if err != nil {
		return err
	}
	var batch pgx.Batch
	batch.Queue(`UPDATE layout SET shards = $1`, to)
	batch.Queue(`DELETE FROM watermarks`)
	batch.Queue(`DELETE FROM import_marks`)
	batch.Queue(`
		INSERT INTO watermarks (shard, version, floor)
		SELECT s.shard, $2, $2 FROM generate_series(0, $1::integer - 1) AS s (shard)`, to, start)
	return tx.SendBatch(ctx, &batch).Close()
}

// boundsSQL are the bounds of the shards w that have marks m of imports.
const boundsSQL = `w.version, greatest(w.version, coalesce(m.version, 0)), greatest(w.floor, coalesce(m.version, 0))`

// Bounds returns what is known of a shard's log. It makes the row when it is missing.
// Errors: like.ErrUnavailable.
func (l *Ledger) Bounds(ctx context.Context, shard int) (b like.Bounds, err error) {
	read := func() error {
		return l.pool.QueryRow(ctx, `
			SELECT `+boundsSQL+` FROM watermarks w LEFT JOIN import_marks m USING (shard) WHERE w.shard = $1`,
			shard).Scan(&b.Watermark, &b.End, &b.Floor)
	}
	err = read()
	if errors.Is(err, pgx.ErrNoRows) {
		err = l.inTx(ctx, "make a watermark", func(tx pgx.Tx) error {
			return createWatermarks(ctx, tx, shard, shard+1)
		})
		if err == nil {
			err = read()
		}
	}
	return b, failed("read the bounds of a log", err)
}

// Settled is Bounds after the drain and the imports that may be under way: they may
// hold what Redis has lost since, and will still commit it. Errors: ErrShardsDiffer
// when the ledger does not belong to so many shards.
func (l *Ledger) Settled(ctx context.Context, shards, shard int) (b like.Bounds, err error) {
	if _, err := l.Bounds(ctx, shard); err != nil { // makes the row
		return b, err
	}
	if err := l.AwaitImports(ctx, shard); err != nil {
		return b, err
	}
	var have int
	err = l.pool.QueryRow(ctx, `
		SELECT `+boundsSQL+`, coalesce(l.shards, $2)
		  FROM watermarks w LEFT JOIN import_marks m USING (shard) LEFT JOIN layout l ON true
		 WHERE w.shard = $1 FOR SHARE OF w`, shard, shards).Scan(&b.Watermark, &b.End, &b.Floor, &have)
	if err == nil && have != shards {
		err = differ(shards, have)
	}
	return b, failed("wait for a drain", err)
}

// Watermarks returns the watermark of every shard. Errors: like.ErrUnavailable.
func (l *Ledger) Watermarks(ctx context.Context) (map[int]like.Version, error) {
	rows, err := l.pool.Query(ctx, `SELECT shard, version FROM watermarks`)
	if err != nil {
		return nil, failed("read watermarks", err)
	}
	marks := map[int]like.Version{}
	var shard int
	var version like.Version
	_, err = pgx.ForEachRow(rows, []any{&shard, &version}, func() error {
		marks[shard] = version
		return nil
	})
	return marks, failed("read watermarks", err)
}
