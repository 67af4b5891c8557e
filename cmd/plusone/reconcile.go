package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"text/tabwriter"
	"time"

	"plusone/cmd/internal/order"
	"plusone/cmd/internal/settings"
	"plusone/cmd/internal/stores"
	"plusone/reconcile"
)

type reconcileCmd struct {
	settings.Stores    `group:"Stores"`
	settings.Internal  `group:"Internal listener"`
	settings.Reconcile `group:"Reconciler"`

	Once   bool `help:"Compare everything once, report, and end."`
	DryRun bool `help:"With --once: report only, repair nothing."`
	JSON   bool `name:"json" help:"With --once: report as JSON."`
}

// Run reconciles until ctx ends, or once.
func (c reconcileCmd) Run(ctx context.Context, log *slog.Logger, again *reload, out io.Writer) error {
	if c.Once {
		return c.once(ctx, log, out)
	}
	if c.DryRun || c.JSON {
		return usage("--dry-run and --json belong to --once")
	}
	return serve(ctx, log, again, "reconcile", c.Stores, c.Internal, func(p *process) error {
		p.addReconciler(c.Reconcile)
		return nil
	})
}

func (p *process) addReconciler(s settings.Reconcile) {
	p.exam.Reconcile = s
	p.compares = reconcile.New(p.logs, p.ledger, p.reconcileOptions(s))
	p.add("reconciler", p.compares.Run)
	p.addReturner()
	p.add("janitor", reconcile.NewJanitor(p.logs, reconcile.JanitorOptions{
		Bound: p.tuning.ResidentMaxBytes, SetMax: int(p.tuning.ResidentSetMax), Metrics: p.registry,
	}).Run)
}

func (p *process) reconcileOptions(s settings.Reconcile) reconcile.Options {
	o := reconcile.Options{
		Every: s.ReconcileEvery, Full: s.ReconcileFull, Settle: s.ReconcileSettle,
		Ring: func(shard int) { p.bell.Ring(shard) }, Metrics: p.registry,
	}
	if s.ReconcileRate != nil {
		o.Rate = *s.ReconcileRate
	}
	return o
}

// once makes one pass, with the doorbell beside it through which it asks for
// drains.
func (c reconcileCmd) once(ctx context.Context, log *slog.Logger, out io.Writer) error {
	if err := c.reachRedis(ctx); err != nil {
		return err
	}
	p, err := open(ctx, log, c.Stores, "reconcile --once")
	if err != nil {
		return err
	}
	defer p.close()
	ctx, reported := context.WithCancel(ctx)
	defer reported()
	var failed error
	p.add("pass", func(ctx context.Context) error {
		report, err := reconcile.New(p.logs, p.ledger, p.reconcileOptions(c.Reconcile)).Once(ctx, c.DryRun)
		if failed = err; !errors.Is(err, context.Canceled) { // what was found until then is in table repairs
			failed = errors.Join(c.show(out, report), err)
		}
		reported()
		<-ctx.Done()
		return nil
	})
	return errors.Join(order.Run(ctx, p.parts...), failed)
}

// reachRedis ends what has nothing to compare before it begins. A process that goes on
// starts without Redis, too.
func (c reconcileCmd) reachRedis(ctx context.Context) error {
	if err := missing(c.Missing()); err != nil {
		return err
	}
	rds, err := stores.OpenRedis(ctx, c.RedisURL, c.Unsafe)
	if err != nil {
		return err
	}
	return rds.Close()
}

func (c reconcileCmd) show(out io.Writer, r reconcile.Report) error {
	if c.JSON {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		return enc.Encode(r)
	}
	return showReport(out, r)
}

func showReport(out io.Writer, r reconcile.Report) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, d := range r.Drifts {
		done := "repaired"
		if !d.Repaired {
			done = "not repaired"
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s → %s\t%s\t%s\n", d.Side, d.Item, d.User, d.Before, d.After, done, d.Cause)
	}
	for _, s := range r.Skipped {
		_, _ = fmt.Fprintf(w, "shard %d was skipped: %s\n", s.Shard, s.Why)
	}
	_, _ = fmt.Fprintf(w, "%d items and %d pairs compared in %v, %d findings\n",
		r.Items, r.Pairs, r.Took.Round(time.Millisecond), len(r.Drifts))
	return w.Flush() // reports what the lines above could not write
}
