package main

import (
	"context"
	"fmt"
	"time"

	"plusone/cmd/internal/listener"
)

// checkStores registers what every process needs. A process without Postgres is
// degraded, not useless: the API goes on taking likes, the others wait.
func (p *process) checkStores() {
	p.checks = append(p.checks,
		listener.Check{Name: "redis", Run: func(ctx context.Context) (string, error) {
			promise, err := p.redis.Promise(ctx)
			if err != nil {
				return "", fmt.Errorf("%s does not answer: %w", p.redis.Addr(), err)
			}
			return promise, nil
		}},
		listener.Check{Name: "postgres", Optional: true, Run: func(ctx context.Context) (string, error) {
			return "answers", p.ledger.Ping(ctx)
		}},
		listener.Check{Name: "schema", Optional: true, Run: func(ctx context.Context) (string, error) {
			return "fits this plusone", p.ledger.CheckSchema(ctx)
		}},
	)
}

// checkLogs watches what waits for the ledger. full is the length at which a
// shard's likes are refused.
func (p *process) checkLogs(full int) {
	p.checks = append(p.checks, listener.Check{Name: "log", Run: func(ctx context.Context) (string, error) {
		var waiting, longest int64
		var oldest time.Duration
		for shard := range p.layout.Shards {
			tail, err := p.logs.Tail(ctx, shard)
			if err != nil {
				return "", err
			}
			waiting += tail.Len
			longest = max(longest, tail.Len)
			if tail.Len > 0 {
				oldest = max(oldest, time.Since(tail.Oldest.Time()))
			}
		}
		if longest >= int64(full) {
			return "", fmt.Errorf("a shard holds %d entries that are not in Postgres and refuses likes: "+
				"is a worker running, and does it reach Postgres?", longest)
		}
		return fmt.Sprintf("%d entries, the oldest %.1f s old; a shard refuses likes at %d", waiting, oldest.Seconds(), full), nil
	}})
}
