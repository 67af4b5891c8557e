package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"plusone/hotpath/like"
)

// Delivery is one notification on its way to one receiver. Attempts counts those
// that have ended, so it is also the number of the next one, from zero.
type Delivery struct {
	Seq      int64
	Receiver string
	State    string // pending, delivered or exhausted
	Attempts int
	FirstAt  time.Time // of the first attempt; zero before it
	NextAt   time.Time // when the next attempt may begin; while one runs, when its claim ends
	Error    string    // of the last attempt that failed
}

// Delivery returns where the delivery of seq to receiver stands; the error wraps
// like.ErrNotFound when there is none.
func (l *Ledger) Delivery(ctx context.Context, seq int64, receiver string) (Delivery, error) {
	d := Delivery{Seq: seq, Receiver: receiver}
	var first *time.Time
	err := l.pool.QueryRow(ctx, `
		SELECT state, attempts, first_at, next_at, coalesce(last_error, '')
		FROM deliveries WHERE seq = $1 AND receiver = $2`, seq, receiver).
		Scan(&d.State, &d.Attempts, &first, &d.NextAt, &d.Error)
	if errors.Is(err, pgx.ErrNoRows) {
		err = like.ErrNotFound
	}
	if first != nil {
		d.FirstAt = *first
	}
	return d, failed(fmt.Sprintf("read the delivery of %d to %s", seq, receiver), err)
}

// DueDeliveries returns the deliveries whose next attempt may begin, up to
// most of each receiver, the longest waiting first. Only Seq, Receiver and
// Attempts are set.
func (l *Ledger) DueDeliveries(ctx context.Context, receivers []string, most int) ([]Delivery, error) {
	rows, err := l.pool.Query(ctx, `
		SELECT d.seq, r.receiver, d.attempts
		FROM unnest($1::text[]) AS r (receiver)
		CROSS JOIN LATERAL (
			SELECT seq, attempts FROM deliveries
			WHERE receiver = r.receiver AND state = 'pending' AND next_at <= now()
			ORDER BY next_at, seq
			LIMIT $2
		) d`, receivers, most)
	if err != nil {
		return nil, failed("read due deliveries", err)
	}
	due, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (d Delivery, err error) {
		err = row.Scan(&d.Seq, &d.Receiver, &d.Attempts)
		return d, err
	})
	return due, failed("read due deliveries", err)
}

// ClaimDelivery takes attempt for the caller, for the time of lease, and returns
// what to send. It is false when the attempt isn't due: somebody else is at it,
// or it has been recorded. A claimant that dies leaves the attempt to whoever
// comes after the lease: a receiver may be told twice, never not at all.
func (l *Ledger) ClaimDelivery(ctx context.Context, seq int64, receiver string, attempt int, lease time.Duration) (like.Notification, bool, error) {
	var n like.Notification
	err := l.pool.QueryRow(ctx, `
		WITH claimed AS (
			UPDATE deliveries
			SET next_at = now() + $4::interval, first_at = coalesce(first_at, now())
			WHERE seq = $1 AND receiver = $2 AND attempts = $3 AND state = 'pending' AND next_at <= now()
			RETURNING seq
		)
		SELECT n.seq, n.id, n.item_id, n.count, n.delta, n.opened_at, n.closed_at
		FROM notifications n JOIN claimed USING (seq)`, seq, receiver, attempt, lease).
		Scan(&n.Seq, &n.ID, &n.Item, &n.Count, &n.Delta, &n.From, &n.To)
	if errors.Is(err, pgx.ErrNoRows) {
		return n, false, nil
	}
	return n, err == nil, failed(fmt.Sprintf("claim the delivery of %d to %s", seq, receiver), err)
}

// ClaimDue takes the attempt of receiver that is due the longest, like
// ClaimDelivery, and says which it is.
func (l *Ledger) ClaimDue(ctx context.Context, receiver string, lease time.Duration) (n like.Notification, attempt int, ok bool, err error) {
	err = l.pool.QueryRow(ctx, `
		WITH due AS (
			SELECT seq FROM deliveries
			WHERE receiver = $1 AND state = 'pending' AND next_at <= now()
			ORDER BY next_at, seq
			LIMIT 1
			FOR UPDATE SKIP LOCKED
		), claimed AS (
			UPDATE deliveries d
			SET next_at = now() + $2::interval, first_at = coalesce(first_at, now())
			FROM due WHERE d.seq = due.seq AND d.receiver = $1
			RETURNING d.seq, d.attempts
		)
		SELECT n.seq, n.id, n.item_id, n.count, n.delta, n.opened_at, n.closed_at, claimed.attempts
		FROM notifications n JOIN claimed USING (seq)`, receiver, lease).
		Scan(&n.Seq, &n.ID, &n.Item, &n.Count, &n.Delta, &n.From, &n.To, &attempt)
	if errors.Is(err, pgx.ErrNoRows) {
		return n, 0, false, nil
	}
	return n, attempt, err == nil, failed("claim the next delivery to "+receiver, err)
}

// Delivered records that attempt succeeded, even when its claim has run out
// meanwhile: the receiver knows. It reports whether this was news.
func (l *Ledger) Delivered(ctx context.Context, seq int64, receiver string, attempt int) (bool, error) {
	tag, err := l.pool.Exec(ctx, `
		UPDATE deliveries
		SET state = 'delivered', attempts = greatest(attempts, $3::int + 1), last_error = NULL
		WHERE seq = $1 AND receiver = $2 AND state <> 'delivered'`, seq, receiver, attempt)
	return tag.RowsAffected() == 1, failed(fmt.Sprintf("record a delivery of %d to %s", seq, receiver), err)
}

// Again says when a failed delivery is tried again.
type Again struct {
	After   time.Duration // this long after the first attempt
	Gap     time.Duration // this long from now instead, when that has passed already
	AtLeast time.Duration // but not sooner than this from now
}

// Failed records that attempt failed because of why. With again nil the delivery
// is exhausted. It reports whether this was news: an attempt counts once,
// however often it is recorded.
func (l *Ledger) Failed(ctx context.Context, seq int64, receiver string, attempt int, why error, again *Again) (bool, error) {
	state, next := "pending", again
	if again == nil {
		state, next = "exhausted", new(Again)
	}
	// The Gap keeps a ladder from bursting whose rungs went by while nobody
	// was there to climb it.
	tag, err := l.pool.Exec(ctx, `
		UPDATE deliveries
		SET state = $4, attempts = attempts + 1, last_error = $5,
		    next_at = greatest(
		        CASE WHEN first_at + $6::interval > now() THEN first_at + $6 ELSE now() + $7::interval END,
		        now() + $8::interval)
		WHERE seq = $1 AND receiver = $2 AND attempts = $3 AND state = 'pending'`,
		seq, receiver, attempt, state, storable(why.Error(), 500), next.After, next.Gap, next.AtLeast)
	return tag.RowsAffected() == 1, failed(fmt.Sprintf("record a failure of %d to %s", seq, receiver), err)
}

// PendingDeliveries counts the deliveries that are neither delivered nor
// exhausted, up to most, which bounds the cost of asking.
func (l *Ledger) PendingDeliveries(ctx context.Context, most int) (int64, error) {
	var n int64
	err := l.pool.QueryRow(ctx, `
		SELECT count(*) FROM (SELECT FROM deliveries WHERE state = 'pending' LIMIT $1) d`, most).Scan(&n)
	return n, failed("count pending deliveries", err)
}
