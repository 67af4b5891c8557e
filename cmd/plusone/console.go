package main

import (
	"context"

	"plusone/cmd/internal/console"
	"plusone/cmd/internal/listener"
	"plusone/cmd/internal/settings"
	"plusone/reconcile"
	"plusone/tasks"
)

// console is what the internal listener shows to people. A process that does not
// reconcile by itself has a reconciler for what they ask for.
func (p *process) console(o settings.Internal, checks []listener.Check) *console.Console {
	if p.compares == nil {
		p.compares = reconcile.New(p.logs, p.ledger, p.reconcileOptions(settings.Reconcile{}))
	}
	return console.New(console.Options{
		Token: console.Token(o.InternalToken), Secret: p.layout.Secret,
		Role: p.role, Metrics: p.registry, MemoryBound: p.tuning.ResidentMaxBytes,
		Checks: func(ctx context.Context) []console.Check { return listener.Look(ctx, checks) },
		Ledger: p.ledger, Log: p.logs, Reconciler: p.compares,
		Freezer: &tasks.Freezer{Log: p.logs, Ledger: p.ledger, Wait: freezeTime / 3}, // somebody waits for the page
		Errors:  p.log,
	})
}
