package ledger

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"plusone/hotpath/like"
)

// ActResend has a notification delivered once more.
const ActResend = "resend"

// LatestNotifications lists closed notifications, the newest first, those below a seq
// unless that is 0; with a state, those of which some delivery is in it. What stands in
// each is as Notifications tells it.
func (l *Ledger) LatestNotifications(ctx context.Context, state string, before int64, limit int) ([]like.Notification, error) {
	var c conditions
	c.and("n.seq < ?", before)
	c.and("EXISTS (SELECT FROM deliveries d WHERE d.seq = n.seq AND d.state = ?)", state)
	if before == 0 {
		c.parts = append(c.parts, "n.seq > 0")
	}
	rows, err := l.pool.Query(ctx, notificationSQL+c.where()+` ORDER BY n.seq DESC`+c.limit(limit), c.args...)
	if err != nil {
		return nil, failed("list notifications", err)
	}
	notes, err := pgx.CollectRows(rows, pgx.RowToStructByPos[like.Notification])
	return notes, failed("list notifications", err)
}

// NotificationView is a notification with its way to each receiver.
type NotificationView struct {
	like.Notification
	Deliveries []DeliveryView `json:"deliveries"`
	Acts       []Act          `json:"acts,omitempty"`
}

// DeliveryView is where one delivery stands.
type DeliveryView struct {
	Receiver string     `json:"receiver"`
	State    string     `json:"state"`
	Attempts int        `json:"attempts"`
	FirstAt  *time.Time `json:"first_at,omitempty"` // nil: not yet tried
	NextAt   time.Time  `json:"next_at"`            // while it is pending
	Error    string     `json:"error,omitempty"`
}

// Notification tells of one, and what operators did to it. Errors: like.ErrNotFound.
func (l *Ledger) Notification(ctx context.Context, seq int64) (v NotificationView, err error) {
	rows, err := l.pool.Query(ctx, notificationSQL+` WHERE n.seq = $1`, seq)
	if err != nil {
		return v, failed("read a notification", err)
	}
	v.Notification, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[like.Notification])
	if errors.Is(err, pgx.ErrNoRows) {
		err = like.ErrNotFound
	}
	if err != nil {
		return v, failed("read a notification", err)
	}
	rows, err = l.pool.Query(ctx, `
		SELECT receiver, state, attempts, first_at, next_at, coalesce(last_error, '')
		  FROM deliveries WHERE seq = $1 ORDER BY receiver`, seq)
	if err != nil {
		return v, failed("read deliveries", err)
	}
	if v.Deliveries, err = pgx.CollectRows(rows, pgx.RowToStructByPos[DeliveryView]); err != nil {
		return v, failed("read deliveries", err)
	}
	v.Acts, err = l.acts(ctx, onNotification, strconv.FormatInt(seq, 10))
	return v, err
}

// Resend has a notification delivered once more to every receiver that it was
// addressed to and is not on its way to, from the first rung on; its id stays, so that
// a receiver which has it knows it. Errors: like.ErrNotFound; ErrActRefused when it is on
// its way to all, or was addressed to nobody.
func (l *Ledger) Resend(ctx context.Context, seq int64, by By) error {
	return l.inTx(ctx, "resend a notification", func(tx pgx.Tx) error {
		var state string
		err := tx.QueryRow(ctx, `
			SELECT coalesce((SELECT max(d.state) FROM deliveries d WHERE d.seq = n.seq), $2)
			  FROM notifications n WHERE n.seq = $1`, seq, Unaddressed).Scan(&state)
		if errors.Is(err, pgx.ErrNoRows) {
			return like.ErrNotFound
		}
		if err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `
			UPDATE deliveries SET state = 'pending', attempts = 0, first_at = NULL, next_at = now()
			 WHERE seq = $1 AND state <> 'pending'`, seq)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return fmt.Errorf("resend a notification: %w", ErrActRefused)
		}
		return noteActs(ctx, tx, onNotification, ActResend, by, []string{strconv.FormatInt(seq, 10)}, []string{state})
	})
}
