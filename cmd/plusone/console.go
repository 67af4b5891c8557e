package main

import (
	"context"
	"io"
	"time"

	"plusone/cmd/internal/console"
	"plusone/cmd/internal/doctor"
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
		Settings: p.inForce, Examine: p.examine,
		Token: console.Token(o.InternalToken), Open: p.open, Secret: p.layout.Secret,
		Role: p.role, Metrics: p.registry, MemoryBound: p.tuning.ResidentMaxBytes,
		Checks: func(ctx context.Context) []console.Check { return listener.Look(ctx, checks) },
		Ledger: p.ledger, Log: p.logs, Reconciler: p.compares,
		Freezer: &tasks.Freezer{Log: p.logs, Ledger: p.ledger, Wait: freezeTime / 3}, // somebody waits for the page
		Errors:  p.log,
	})
}

// runsWith notes what the process was started with, for who looks at it.
func (p *process) runsWith(again *reload, s settings.Stores, o settings.Internal) {
	p.inForce, p.exam = again.start, again.others()
	p.exam.Stores, p.exam.Internal = s, o
}

// others are the settings of plusone serve, as this command's environment and file
// have them: those that it knows itself take their place.
func (r *reload) others() doctor.Settings {
	args := []string{"doctor"}
	for _, s := range r.start {
		if s.Name == "config" && s.Value != "" {
			args = append(args, "--config="+s.Value)
		}
	}
	c, _, err := parse(args, io.Discard, io.Discard)
	if err != nil { // the command itself was parsed: a setting that it does not know is wrong
		return doctor.Settings{}
	}
	return c.Doctor.Settings
}

// examine is what plusone doctor does with the settings of this process.
func (p *process) examine(ctx context.Context) (doctor.Report, error) {
	return doctor.Examine(ctx, p.exam, time.Now)
}
