package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"plusone/cmd/internal/settings"
	"plusone/cmd/internal/stores"
	"plusone/tasks/ledger"
)

type migrateCmd struct {
	Up     migrateUpCmd     `cmd:"" default:"withargs" help:"Apply what is missing. Several at once wait for each other."`
	Status migrateStatusCmd `cmd:"" help:"Show the steps and when they were applied; changes nothing."`
	Shards migrateShardsCmd `cmd:"" help:"Change the number of shards, once all likes are drained."`
}

type migrateUpCmd struct{ settings.Postgres }

// Run applies what is missing and shows the outcome.
func (c migrateUpCmd) Run(ctx context.Context, out io.Writer) error {
	return withLedgerPool(ctx, c.Postgres, func(pool *pgxpool.Pool) error {
		if err := ledger.Migrate(ctx, pool); err != nil {
			return err
		}
		return showSteps(ctx, pool, out)
	})
}

type migrateStatusCmd struct{ settings.Postgres }

// Run shows the steps.
func (c migrateStatusCmd) Run(ctx context.Context, out io.Writer) error {
	return withLedgerPool(ctx, c.Postgres, func(pool *pgxpool.Pool) error { return showSteps(ctx, pool, out) })
}

func withLedgerPool(ctx context.Context, where settings.Postgres, do func(*pgxpool.Pool) error) error {
	if err := missing(where.Missing()); err != nil {
		return err
	}
	pool, err := stores.OpenPostgres(ctx, where.PostgresURL, stores.PostgresOptions{Conns: 2, Long: true})
	if err != nil {
		return err
	}
	defer pool.Close()
	return do(pool)
}

func showSteps(ctx context.Context, pool *pgxpool.Pool, out io.Writer) error {
	steps, err := ledger.MigrationStatus(ctx, pool)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, s := range steps {
		name, applied := s.Name, "missing; run: plusone migrate"
		if name == "" {
			name = "(of a newer plusone)"
		}
		if !s.At.IsZero() {
			applied = s.At.UTC().Format(time.RFC3339)
		}
		if _, err := fmt.Fprintf(w, "%d\t%s\t%s\n", s.Version, name, applied); err != nil {
			return err
		}
	}
	return w.Flush()
}
