package main

import (
	"context"
	"log/slog"

	"plusone/cmd/internal/settings"
)

// allSettings is what the process with every role reads beside the stores.
type allSettings struct {
	settings.Internal  `group:"Internal listener"`
	settings.Reconcile `group:"Reconciler"`
	workerSettings
	apiSettings
}

type serveCmd struct {
	settings.Stores `group:"Stores"`
	allSettings
}

// Run serves every role until ctx ends.
func (c serveCmd) Run(ctx context.Context, log *slog.Logger, again *reload) error {
	return serve(ctx, log, again, "serve", c.Stores, c.Internal, func(p *process) error {
		if err := p.addWorker(c.workerSettings); err != nil {
			return err
		}
		p.addReconciler(c.Reconcile)
		return p.addAPI(ctx, c.apiSettings)
	})
}
