package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"plusone/cmd/internal/settings"
	"plusone/hotpath/like"
	"plusone/tasks/ledger"
)

type sagaCmd struct {
	List       sagaListCmd       `cmd:"" help:"List sagas, by id."`
	Show       sagaShowCmd       `cmd:"" help:"Show one with its steps, and what was done to it by hand."`
	Retry      sagaRetryCmd      `cmd:"" help:"Make the next attempt now, also of one that is stuck."`
	Compensate sagaCompensateCmd `cmd:"" help:"Take a like back whose participants have not all agreed, or have: then they are to give it back."`
	Complete   sagaCompleteCmd   `cmd:"" help:"Go on as if all participants had answered: that they agree, or have given it back when that has begun."`
}

type sagaListCmd struct {
	settings.Postgres

	State       string `help:"Only those in this state." enum:",pending,done,compensating,compensated,stuck" default:""`
	Item        string `help:"Only those of this item." placeholder:"ID"`
	User        string `help:"Only those of this user." placeholder:"ID"`
	Participant string `help:"Only those that wait for this participant, or were rejected by it." placeholder:"NAME"`
	After       string `help:"Only those behind this saga: the next page." placeholder:"SAGA"`
	Limit       int    `help:"How many." default:"50"`
	JSON        bool   `name:"json" help:"As JSON."`
}

// Run lists sagas.
func (c sagaListCmd) Run(ctx context.Context, out io.Writer) error {
	return withLedger(ctx, c.Postgres, func(l *ledger.Ledger) error {
		found, err := l.Sagas(ctx, ledger.SagaFilter{
			State: c.State, Item: c.Item, User: c.User, Participant: c.Participant, After: c.After, Limit: c.Limit,
		})
		if err != nil {
			return err
		}
		views := ledger.ShowSagas(found)
		return show(out, c.JSON, map[string]any{"sagas": views}, func(w io.Writer) {
			for _, v := range views {
				_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", v.ID, v.State, wish(v), v.Item, v.User, why(v))
			}
		})
	})
}

type sagaShowCmd struct {
	settings.Postgres

	ID   string `arg:"" help:"The saga."`
	JSON bool   `name:"json" help:"As JSON."`
}

// Run shows a saga.
func (c sagaShowCmd) Run(ctx context.Context, out io.Writer) error {
	return withLedger(ctx, c.Postgres, func(l *ledger.Ledger) error {
		r, acts, err := l.Saga(ctx, c.ID)
		if err != nil {
			return noSaga(err)
		}
		v := ledger.ShowSaga(r, acts)
		return show(out, c.JSON, v, func(w io.Writer) {
			_, _ = fmt.Fprintf(w, "%s\t%s\nreceipt\t%s\nwish\t%s %s by %s, %s\n", v.ID, v.State, v.Receipt, wish(v), v.Item, v.User, v.MadeAt.UTC().Format(time.RFC3339))
			for _, s := range v.Steps {
				_, _ = fmt.Fprintf(w, "%s\t%s\n", s.Participant, s.State)
			}
			if text := why(v); text != "" {
				_, _ = fmt.Fprintf(w, "why\t%s\n", text)
			}
			showActs(w, v.Acts)
		})
	})
}

// sagaAct is who acts on sagas, and why.
type sagaAct struct {
	settings.Postgres
	act
}

type sagaRetryCmd struct {
	sagaAct

	ID  string `arg:"" optional:"" help:"The saga."`
	All bool   `help:"All that are stuck, or have had an attempt without an answer."`
}

// Run makes the next attempts due.
func (c sagaRetryCmd) Run(ctx context.Context, out io.Writer) error {
	if c.All == (c.ID != "") {
		return usage("name a saga, or --all that hang")
	}
	if c.ID != "" {
		return c.do(ctx, out, c.ID, ledger.ActRetry)
	}
	by, err := c.by()
	if err != nil {
		return err
	}
	return withLedger(ctx, c.Postgres, func(l *ledger.Ledger) error {
		n, err := l.RetryHanging(ctx, by)
		if err == nil {
			_, err = fmt.Fprintf(out, "%d sagas are tried again by the next worker.\n", n)
		}
		return err
	})
}

type sagaCompensateCmd struct {
	sagaAct

	ID string `arg:"" help:"The saga."`
}

// Run takes a like back.
func (c sagaCompensateCmd) Run(ctx context.Context, out io.Writer) error {
	return c.do(ctx, out, c.ID, ledger.ActCompensate)
}

type sagaCompleteCmd struct {
	sagaAct

	ID string `arg:"" help:"The saga."`
}

// Run ends a saga by hand.
func (c sagaCompleteCmd) Run(ctx context.Context, out io.Writer) error {
	return c.do(ctx, out, c.ID, ledger.ActComplete)
}

func (a sagaAct) do(ctx context.Context, out io.Writer, id, act string) error {
	by, err := a.by()
	if err != nil {
		return err
	}
	return withLedger(ctx, a.Postgres, func(l *ledger.Ledger) error {
		if err := l.ActOnSaga(ctx, id, act, by); err != nil {
			return noSaga(err)
		}
		_, err := fmt.Fprintln(out, "Noted; the next worker goes on with it.")
		return err
	})
}

// noSaga says what a person can do about err.
func noSaga(err error) error {
	switch {
	case errors.Is(err, like.ErrNotFound):
		return errors.New("there is no such saga; those that have ended are forgotten after --saga-keep")
	case errors.Is(err, ledger.ErrActRefused):
		return fmt.Errorf("%w; plusone saga show tells it", err)
	}
	return err
}

func wish(v ledger.SagaView) string {
	if v.Liked {
		return "like"
	}
	return "unlike"
}

// why says in a line who rejected it and why, or what holds it up.
func why(v ledger.SagaView) string {
	var parts []string
	if v.RejectedBy != "" {
		parts = append(parts, strings.TrimSpace("rejected by "+v.RejectedBy+": "+v.Reason))
	}
	if v.EndedAt == nil && v.LastError != "" {
		parts = append(parts, fmt.Sprintf("attempt %d of %s: %s", v.Attempts, v.WaitsFor, v.LastError))
	}
	return strings.Join(parts, "; ")
}

func withLedger(ctx context.Context, where settings.Postgres, do func(*ledger.Ledger) error) error {
	return withLedgerPool(ctx, where, func(pool *pgxpool.Pool) error {
		l := ledger.New(pool)
		if err := l.CheckSchema(ctx); err != nil {
			return err
		}
		return do(l)
	})
}
