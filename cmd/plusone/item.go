package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"plusone/cmd/internal/settings"
	"plusone/cmd/internal/stores"
	"plusone/hotpath/counter"
	"plusone/hotpath/like"
	"plusone/reconcile"
	"plusone/tasks"
	"plusone/tasks/ledger"
)

type itemCmd struct {
	Freeze    itemFreezeCmd    `cmd:"" help:"Let items take no new likes (409 item_frozen); unlikes and reads go on."`
	Unfreeze  itemUnfreezeCmd  `cmd:"" help:"Let items take likes again."`
	Reconcile itemReconcileCmd `cmd:"" help:"Compare items now and repair what differs, whenever their turn would be."`
	Show      itemShowCmd      `cmd:"" help:"Tell whether an item is frozen, and what was done to it by hand."`
	List      itemListCmd      `cmd:"" help:"List frozen items."`
}

// freezeTime is how long Redis may take to hear of it.
const freezeTime = 15 * time.Second

// itemAct is what freezes and unfreezes.
type itemAct struct {
	settings.Redis
	settings.Postgres
	act

	Items []string `arg:"" name:"item" help:"The items."`
}

func (a itemAct) do(ctx context.Context, out io.Writer, frozen bool) error {
	by, err := a.by()
	if err != nil {
		return err
	}
	for _, item := range a.Items {
		if err := like.CheckItem(item); err != nil {
			return usage("%w", err)
		}
	}
	return withBoth(ctx, a.Redis, a.Postgres, func(logs *counter.Log, led *ledger.Ledger) error {
		f := tasks.Freezer{Log: logs, Ledger: led, Wait: freezeTime}
		err := f.Freeze(ctx, a.Items, frozen, by)
		if err == nil {
			_, err = fmt.Fprintln(out, map[bool]string{true: "Frozen: no new like is accepted.", false: "Likes are accepted again."}[frozen])
		}
		return err
	})
}

// withBoth opens both stores, with as many shards as the ledger has.
func withBoth(ctx context.Context, r settings.Redis, pg settings.Postgres, do func(*counter.Log, *ledger.Ledger) error) error {
	if err := missing(append(r.Missing(), pg.Missing()...)); err != nil {
		return err
	}
	return withLedgerPool(ctx, pg, func(pool *pgxpool.Pool) error {
		led := ledger.New(pool)
		shards, err := led.Shards(ctx)
		if err != nil {
			return err
		}
		rdb, err := stores.DialRedis(r.RedisURL)
		if err != nil {
			return err
		}
		return errors.Join(do(counter.NewLog(rdb.Client(), cmp.Or(shards, like.DefaultShards)), led), rdb.Close())
	})
}

type itemReconcileCmd struct{ itemAct }

// Run compares items, one after the other.
func (c itemReconcileCmd) Run(ctx context.Context, out io.Writer) error {
	by, err := c.by()
	if err != nil {
		return err
	}
	return withBoth(ctx, c.Redis, c.Postgres, func(logs *counter.Log, led *ledger.Ledger) error {
		compares := reconcile.New(logs, led, reconcile.Options{})
		for _, item := range c.Items {
			report, err := compares.Item(ctx, item, by)
			if err := errors.Join(showReport(out, report), err); err != nil {
				return err
			}
		}
		return nil
	})
}

type itemFreezeCmd struct{ itemAct }

// Run freezes items.
func (c itemFreezeCmd) Run(ctx context.Context, out io.Writer) error { return c.do(ctx, out, true) }

type itemUnfreezeCmd struct{ itemAct }

// Run unfreezes items.
func (c itemUnfreezeCmd) Run(ctx context.Context, out io.Writer) error { return c.do(ctx, out, false) }

type itemShowCmd struct {
	settings.Postgres

	Item string `arg:"" help:"The item."`
	JSON bool   `name:"json" help:"As JSON."`
}

// Run shows an item.
func (c itemShowCmd) Run(ctx context.Context, out io.Writer) error {
	return withLedger(ctx, c.Postgres, func(l *ledger.Ledger) error {
		f, acts, err := l.FrozenItem(ctx, c.Item)
		if err != nil {
			return err
		}
		return show(out, c.JSON, ledger.ShowItem(f, acts), func(w io.Writer) {
			state := "takes likes"
			if f.Frozen {
				state = fmt.Sprintf("frozen since %s by %s: %s", f.Since.UTC().Format(time.RFC3339), f.Who, f.Reason)
			}
			_, _ = fmt.Fprintf(w, "%s\t%s\n", c.Item, state)
			showActs(w, acts)
		})
	})
}

type itemListCmd struct {
	settings.Postgres
	page
}

// Run lists frozen items.
func (c itemListCmd) Run(ctx context.Context, out io.Writer) error {
	return withLedger(ctx, c.Postgres, func(l *ledger.Ledger) error {
		found, err := l.FrozenItems(ctx, c.After, c.Limit)
		if err != nil {
			return err
		}
		return show(out, c.JSON, map[string]any{"items": found}, func(w io.Writer) {
			for _, f := range found {
				_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", f.Item, f.Since.UTC().Format(time.RFC3339), f.Who, f.Reason)
			}
		})
	})
}

// items is where the internal listener freezes items.
func (p *process) items() frozenItems {
	return frozenItems{p.ledger, &tasks.Freezer{Log: p.logs, Ledger: p.ledger, Wait: freezeTime / 3}} // its answers are due in 10 s
}

type frozenItems struct {
	*ledger.Ledger
	*tasks.Freezer
}
