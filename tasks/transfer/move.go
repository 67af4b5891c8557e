package transfer

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"plusone/hotpath/counter"
	"plusone/hotpath/like"
	"plusone/tasks/ledger"
)

// moved is what came of a batch.
type moved struct {
	rows    int64
	rejects []*Reject
}

const (
	// batchTime bounds one transaction: a claim must outlast it.
	batchTime = counter.ClaimTime * 3 / 4
	tryPause  = 100 * time.Millisecond
)

// batch brings one batch in, however often that takes. Rows that the ledger refuses are
// found by halving. It does not stop for ctx while a transaction is under way.
func (i *Importer) batch(ctx context.Context, b batch) (moved, error) {
	if ctx.Err() != nil {
		return moved{}, ctx.Err()
	}
	for deadline, told := time.Now().Add(i.Patience), time.Now(); ; {
		m, err := i.try(context.WithoutCancel(ctx), b)
		switch {
		case err == nil:
			return m, nil
		case errors.Is(err, ledger.ErrRefused) && len(b.rows) == 1:
			return moved{rejects: []*Reject{b.reject(b.rows[0], err.Error())}}, nil
		case errors.Is(err, ledger.ErrRefused):
			return i.halves(ctx, b)
		case !passes(err), time.Now().After(deadline):
			return m, err
		}
		if i.Waiting != nil && time.Since(told) > time.Second {
			told = time.Now()
			i.Waiting(err)
		}
		select {
		case <-ctx.Done():
			return m, ctx.Err()
		case <-time.After(tryPause):
		}
	}
}

// passes reports whether waiting may help. What came of the try does not matter: to repeat
// it is harmless.
func passes(err error) bool {
	return errors.Is(err, like.ErrUnavailable) || errors.Is(err, like.ErrElsewhere) || errors.Is(err, counter.ErrPending)
}

func (i *Importer) halves(ctx context.Context, b batch) (all moved, err error) {
	half, other := b, b
	half.rows, other.rows = b.rows[:len(b.rows)/2], b.rows[len(b.rows)/2:]
	for _, part := range []batch{half, other} {
		m, err := i.batch(ctx, part)
		if err != nil {
			return all, err
		}
		all.rows += m.rows
		all.rejects = append(all.rejects, m.rejects...)
	}
	return all, nil
}

// try is one transaction. What a crash leaves behind each step:
//
//	claim    items that can't be loaded for ClaimTime
//	tell     and likes in resident items that the ledger lacks: the import is not noted as
//	         being behind them, and brings them again
//	commit   and items that can't be loaded
func (i *Importer) try(ctx context.Context, b batch) (m moved, err error) {
	ctx, cancel := context.WithTimeout(ctx, batchTime)
	defer cancel()
	if i.DryRun {
		m.rows, err = i.Ledger.LookAtImport(ctx, b.rows)
		return m, err
	}
	server, err := i.look(ctx)
	if err != nil {
		return m, err
	}
	im, err := i.Ledger.BeginImport(ctx, i.Log.Shards(), b.shard)
	if err != nil {
		return m, err
	}
	defer im.Rollback(ctx)
	rows, err := b.thaw(ctx, im, &m)
	if err != nil || len(rows) == 0 {
		return m, err
	}
	token, items := rand.Text(), itemsOf(rows)
	resident, err := i.Log.Claim(ctx, b.shard, token, items)
	if err != nil {
		return m, err
	}
	var flipped []ledger.Flipped
	if m.rows, flipped, err = im.Apply(ctx, rows, resident); err != nil {
		return m, err
	}
	if m.rows > 0 {
		if err := i.tell(ctx, b.shard, im, flipped, server); err != nil {
			return m, err
		}
	}
	if err := im.Commit(ctx); err != nil {
		return m, err
	}
	i.letGo(ctx, b.shard, token, items)
	return m, nil
}

// tell brings flips to Redis, and a marker behind them: also where nothing of them is
// resident, since a replica that has stopped following may have it so. All of it must
// be in one server.
func (i *Importer) tell(ctx context.Context, shard int, im *ledger.Import, flipped []ledger.Flipped, server string) error {
	flips := make([]counter.Flip, len(flipped))
	for n, f := range flipped {
		flips[n] = counter.Flip{Pair: counter.Pair{Item: f.Item, User: f.User}, Liked: f.Liked}
	}
	if err := i.Log.Absorb(ctx, shard, im.Watermark(), flips); err != nil {
		return err
	}
	marker, err := i.Log.Sign(ctx, shard)
	if err == nil && marker == 0 {
		// Nothing of a closed shard is believed, but one from before it was closed may come
		// back. What it opens with is above this.
		var now time.Time
		now, err = i.Log.Time(ctx)
		marker = like.DirectAt(now)
	}
	if err != nil {
		return err
	}
	if err := i.still(ctx, server); err != nil {
		return err
	}
	return im.Note(ctx, marker)
}

// look returns the server that Redis is. Shards of a new one that are behind the ledger
// are closed: the marker of an import would hide that their logs have lost their ends.
func (i *Importer) look(ctx context.Context) (server string, err error) {
	i.looking.Lock()
	defer i.looking.Unlock()
	if server, err = i.Log.Server(ctx); err != nil || server == i.server {
		return server, err
	}
	for shard := range i.Log.Shards() {
		known, err := i.Ledger.Settled(ctx, i.Log.Shards(), shard)
		if err != nil {
			return "", err
		}
		if _, err := i.Log.CloseIfBehind(ctx, shard, known.End); err != nil {
			return "", err
		}
	}
	if err := i.still(ctx, server); err != nil {
		return "", err
	}
	i.server = server
	return server, nil
}

func (i *Importer) still(ctx context.Context, server string) error {
	now, err := i.Log.Server(ctx)
	if err == nil && now != server {
		err = fmt.Errorf("%w: another redis has taken over", like.ErrUnavailable)
	}
	return err
}

// letGo ends a claim. What could be loaded without the new rows, since the claim has run
// out, is made cold; where that fails the reconciler finds it.
func (i *Importer) letGo(ctx context.Context, shard int, token string, items []string) {
	lost, err := i.Log.Disclaim(ctx, shard, token, items)
	if err != nil { // till it ends by itself those items can't be loaded
		lost, err = i.Log.Disclaim(ctx, shard, token, items)
	}
	if err == nil && len(lost) > 0 {
		_, err = i.Log.Evict(ctx, shard, lost)
	}
	if err != nil {
		slog.WarnContext(ctx, "let imported items load again", "shard", shard, "error", err)
	}
}

// thaw leaves out likes of frozen items.
func (b *batch) thaw(ctx context.Context, im *ledger.Import, m *moved) ([]ledger.Row, error) {
	frozen, err := im.Frozen(ctx, itemsOf(b.rows))
	if err != nil || len(frozen) == 0 {
		return b.rows, err
	}
	var rows []ledger.Row
	for _, r := range b.rows {
		if r.Liked && slices.Contains(frozen, r.Item) {
			m.rejects = append(m.rejects, b.reject(r, "the item is frozen: plusone item unfreeze, then import the rejects"))
			continue
		}
		rows = append(rows, r)
	}
	return rows, nil
}

func (b *batch) reject(r ledger.Row, reason string) *Reject {
	line := b.lines[counter.Pair{Item: r.Item, User: r.User}]
	text := fmt.Sprintf("%s,%s,%t", line.Item, line.User, line.Liked)
	if !line.At.IsZero() {
		text += "," + line.At.UTC().Format(time.RFC3339Nano)
	}
	return &Reject{Line: line.Line, Reason: reason, Text: text}
}

// itemsOf are the items of sorted rows.
func itemsOf(rows []ledger.Row) (items []string) {
	for i, r := range rows {
		if i == 0 || r.Item != rows[i-1].Item {
			items = append(items, r.Item)
		}
	}
	return items
}
