package main

import (
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
	"plusone/tasks/ledger"
)

type migrateShardsCmd struct {
	To settings.Shards `arg:"" help:"The new number of shards, a power of two up to 4096."`

	settings.Redis
	settings.Postgres
	Unsafe bool          `help:"Go on although Redis may evict or lose likes."`
	Wait   time.Duration `help:"How long a worker may take to drain what is left." default:"1m"`
}

// Run changes the number of shards: closes them, waits for the drain, changes
// the ledger's layout. Processes that still run with the old number answer 503
// from then on.
func (c migrateShardsCmd) Run(ctx context.Context, out io.Writer) error {
	if err := missing(c.Redis.Missing()); err != nil {
		return err
	}
	return withLedgerPool(ctx, c.Postgres, func(pool *pgxpool.Pool) error {
		rds, err := stores.OpenRedis(ctx, c.RedisURL, c.Unsafe)
		if err != nil {
			return err
		}
		defer func() { _ = rds.Close() }() // what matters has been answered
		led := ledger.New(pool)
		if err := led.CheckSchema(ctx); err != nil {
			return err
		}
		have, err := led.Layout(ctx, int(c.To))
		switch {
		case err == nil: // a run that was cut off may not have come to the last step
			err := counter.NewLog(rds.Client(), like.MaxShards).Retire(ctx, have.Shards)
			if err == nil {
				_, err = fmt.Fprintf(out, "The number of shards is %d already.\n", have.Shards)
			}
			return err
		case !errors.Is(err, ledger.ErrShardsDiffer):
			return err
		}
		return c.change(ctx, led, counter.NewLog(rds.Client(), have.Shards), out)
	})
}

func (c migrateShardsCmd) change(ctx context.Context, led *ledger.Ledger, logs *counter.Log, out io.Writer) error {
	to := int(c.To)
	if err := led.CheckMode(ctx); err != nil {
		return fmt.Errorf("likes are written to Postgres until Redis has been back for a while: %w", err)
	}
	if err := logs.Move(ctx, to); err != nil {
		return err
	}
	if err := c.drained(ctx, led, logs); err != nil {
		return fmt.Errorf("%w\nUntil this command has come to its end no likes are accepted", err)
	}
	if err := led.ChangeShards(ctx, logs.Shards(), to); err != nil {
		return err
	}
	if err := logs.Retire(ctx, to); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "The number of shards is %d, it was %d. Start every process with --shards=%d; items load again as they are asked for.\n",
		to, logs.Shards(), to)
	return err
}

// drained waits until the ledger has what the closed shards' logs hold.
func (c migrateShardsCmd) drained(ctx context.Context, led *ledger.Ledger, logs *counter.Log) error {
	for deadline := time.Now().Add(c.Wait); ; {
		marks, err := led.Watermarks(ctx)
		if err != nil {
			return err
		}
		shard, err := logs.Waiting(ctx, marks)
		if err != nil || shard < 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the log of shard %d is not drained: run a worker with --shards=%d, then this command again", shard, logs.Shards())
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}
