package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"plusone/cmd/internal/settings"
	"plusone/hotpath/like"
	"plusone/tasks/ledger"
)

type notificationCmd struct {
	List   notificationListCmd   `cmd:"" help:"List them, the newest first."`
	Show   notificationShowCmd   `cmd:"" help:"Show one with its way to each receiver, and what was done to it by hand."`
	Resend notificationResendCmd `cmd:"" help:"Have it delivered once more, with the same id, to all that it was addressed to."`
}

type notificationListCmd struct {
	settings.Postgres

	State  string `help:"Only those of which a delivery is in this state." enum:",pending,delivered,exhausted" default:""`
	Before int64  `help:"Only those before this one: the next page." placeholder:"SEQ"`
	Limit  int    `help:"How many." default:"50"`
	JSON   bool   `name:"json" help:"As JSON."`
}

// Run lists notifications.
func (c notificationListCmd) Run(ctx context.Context, out io.Writer) error {
	return withLedger(ctx, c.Postgres, func(l *ledger.Ledger) error {
		found, err := l.LatestNotifications(ctx, c.State, c.Before, c.Limit)
		if err != nil {
			return err
		}
		return show(out, c.JSON, map[string]any{"notifications": found}, func(w io.Writer) {
			for _, n := range found {
				showNotification(w, n)
			}
		})
	})
}

func showNotification(w io.Writer, n like.Notification) {
	_, _ = fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%+d\t%d\t%s\n", n.Seq, n.To.UTC().Format(time.RFC3339), n.State, n.Item, n.Delta, n.Count, n.LastError)
}

type notificationShowCmd struct {
	settings.Postgres

	Seq  int64 `arg:"" help:"Its seq."`
	JSON bool  `name:"json" help:"As JSON."`
}

// Run shows a notification.
func (c notificationShowCmd) Run(ctx context.Context, out io.Writer) error {
	return withLedger(ctx, c.Postgres, func(l *ledger.Ledger) error {
		v, err := l.Notification(ctx, c.Seq)
		if err != nil {
			return noNotification(err)
		}
		return show(out, c.JSON, v, func(w io.Writer) {
			showNotification(w, v.Notification)
			for _, d := range v.Deliveries {
				_, _ = fmt.Fprintf(w, "to\t%s\t%s\t%d attempts\t%s\n", d.Receiver, d.State, d.Attempts, d.Error)
			}
			showActs(w, v.Acts)
		})
	})
}

type notificationResendCmd struct {
	settings.Postgres
	act

	Seq int64 `arg:"" help:"Its seq."`
}

// Run has a notification delivered once more.
func (c notificationResendCmd) Run(ctx context.Context, out io.Writer) error {
	by, err := c.by()
	if err != nil {
		return err
	}
	return withLedger(ctx, c.Postgres, func(l *ledger.Ledger) error {
		if err := l.Resend(ctx, c.Seq, by); err != nil {
			return noNotification(err)
		}
		_, err := fmt.Fprintln(out, "Noted; the next worker sends it.")
		return err
	})
}

// noNotification says what a person can do about err.
func noNotification(err error) error {
	switch {
	case errors.Is(err, like.ErrNotFound):
		return errors.New("there is no such notification; they are forgotten after --webhook-keep")
	case errors.Is(err, ledger.ErrActRefused):
		return fmt.Errorf("%w: it is on its way already, or no receiver was set when it was closed", err)
	}
	return err
}
