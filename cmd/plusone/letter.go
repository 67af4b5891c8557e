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

type letterCmd struct {
	List  letterListCmd  `cmd:"" help:"List them, by id."`
	Show  letterShowCmd  `cmd:"" help:"Show one, and what was done to it by hand."`
	Retry letterRetryCmd `cmd:"" help:"Have a worker make the change again, unless something newer has happened to the pair."`
	Drop  letterDropCmd  `cmd:"" help:"Say that it was dealt with."`
}

type letterListCmd struct {
	settings.Postgres

	State string `help:"Only those in this state." enum:",open,retrying,retried,dropped" default:""`
	Item  string `help:"Only those of this item." placeholder:"ID"`
	User  string `help:"Only those of this user." placeholder:"ID"`
	After int64  `help:"Only those behind this one: the next page." placeholder:"ID"`
	Limit int    `help:"How many." default:"50"`
	JSON  bool   `name:"json" help:"As JSON."`
}

// Run lists dead letters.
func (c letterListCmd) Run(ctx context.Context, out io.Writer) error {
	return withLedger(ctx, c.Postgres, func(l *ledger.Ledger) error {
		found, err := l.DeadLetters(ctx, ledger.LetterFilter{State: c.State, Item: c.Item, User: c.User, After: c.After, Limit: c.Limit})
		if err != nil {
			return err
		}
		return show(out, c.JSON, map[string]any{"dead_letters": found}, func(w io.Writer) {
			for _, d := range found {
				showLetter(w, d)
			}
		})
	})
}

func showLetter(w io.Writer, d ledger.DeadLetter) {
	wish := "unlike"
	if d.Liked {
		wish = "like"
	}
	_, _ = fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\n", d.ID, d.At.UTC().Format(time.RFC3339), d.State, wish, d.Item, d.User, d.Error)
}

type letterShowCmd struct {
	settings.Postgres

	ID   int64 `arg:"" help:"The dead letter."`
	JSON bool  `name:"json" help:"As JSON."`
}

// Run shows a dead letter.
func (c letterShowCmd) Run(ctx context.Context, out io.Writer) error {
	return withLedger(ctx, c.Postgres, func(l *ledger.Ledger) error {
		d, err := l.DeadLetter(ctx, c.ID)
		if err != nil {
			return noLetter(err)
		}
		return show(out, c.JSON, d, func(w io.Writer) {
			showLetter(w, d)
			if d.Note != "" {
				_, _ = fmt.Fprintf(w, "note\t%s\n", d.Note)
			}
			showActs(w, d.Acts)
		})
	})
}

// letterAct is what acts on one.
type letterAct struct {
	settings.Postgres
	act

	ID int64 `arg:"" help:"The dead letter."`
}

func (a letterAct) do(ctx context.Context, out io.Writer, what, said string) error {
	by, err := a.by()
	if err != nil {
		return err
	}
	return withLedger(ctx, a.Postgres, func(l *ledger.Ledger) error {
		if err := l.ActOnLetter(ctx, a.ID, what, by); err != nil {
			return noLetter(err)
		}
		_, err := fmt.Fprintln(out, said)
		return err
	})
}

type letterRetryCmd struct{ letterAct }

// Run has a change made again.
func (c letterRetryCmd) Run(ctx context.Context, out io.Writer) error {
	return c.do(ctx, out, ledger.ActRetry, "Noted; the next worker makes it again.")
}

type letterDropCmd struct{ letterAct }

// Run drops a dead letter.
func (c letterDropCmd) Run(ctx context.Context, out io.Writer) error {
	return c.do(ctx, out, ledger.ActDrop, "Dropped.")
}

// noLetter says what a person can do about err.
func noLetter(err error) error {
	switch {
	case errors.Is(err, like.ErrNotFound):
		return errors.New("there is no such dead letter; plusone dead-letter list tells which there are")
	case errors.Is(err, ledger.ErrActRefused):
		return fmt.Errorf("%w; plusone dead-letter show tells it", err)
	}
	return err
}

type repairsCmd struct {
	List repairsListCmd `cmd:"" help:"List findings, the newest first."`
}

type repairsListCmd struct {
	settings.Postgres

	Item   string        `help:"Only those of this item." placeholder:"ID"`
	User   string        `help:"Only those of this user." placeholder:"ID"`
	Since  time.Duration `help:"Only those of this last time (default: ${default})." default:"720h" placeholder:"TIME"`
	Before int64         `help:"Only those before this one: the next page." placeholder:"ID"`
	Limit  int           `help:"How many." default:"50"`
	JSON   bool          `name:"json" help:"As JSON."`
}

// Run lists findings.
func (c repairsListCmd) Run(ctx context.Context, out io.Writer) error {
	f := ledger.RepairFilter{Item: c.Item, User: c.User, Since: time.Now().Add(-c.Since), Before: c.Before, Limit: c.Limit}
	return withLedger(ctx, c.Postgres, func(l *ledger.Ledger) error {
		found, err := l.Repairs(ctx, f)
		if err != nil {
			return err
		}
		return show(out, c.JSON, map[string]any{"repairs": found}, func(w io.Writer) {
			for _, r := range found {
				state := "repaired"
				if !r.Repaired {
					state = "not repaired"
				}
				_, _ = fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s: %s → %s\t%s\n", r.ID, r.At.UTC().Format(time.RFC3339), r.Item, r.User, r.Cause, r.Side, r.Before, r.After, state)
			}
		})
	})
}
