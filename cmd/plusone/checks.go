package main

import (
	"context"
	"fmt"
	"time"

	"plusone/cmd/internal/listener"
	"plusone/hotpath/counter"
)

// storeChecks are what every process needs. A process without Postgres is
// degraded, not useless: the API goes on taking likes, the others wait. So is an
// API without Redis, as long as likes can be written to Postgres.
func (p *process) storeChecks() []listener.Check {
	return []listener.Check{
		{Name: "redis", Optional: p.direct, Run: p.redis.Promise},
		{Name: "writes", Run: func(context.Context) (string, error) { return p.fence.Ready() }},
		{Name: "memory", Optional: true, Run: p.checkMemory},
		{Name: "shards", Run: p.checkShards},
		{Name: "postgres", Optional: true, Run: func(ctx context.Context) (string, error) {
			return "answers", p.ledger.Ping(ctx)
		}},
		{Name: "schema", Optional: true, Run: func(ctx context.Context) (string, error) {
			return "fits this plusone", p.ledger.CheckSchema(ctx)
		}},
	}
}

// checkMemory tells how full Redis is. Above the bound it goes on working, but
// loads items again and again.
func (p *process) checkMemory(ctx context.Context) (string, error) {
	m, err := p.logs.Memory(ctx)
	if err != nil {
		return "", err
	}
	const mib = 1 << 20
	bound := m.Bound(p.tuning.ResidentMaxBytes)
	words := fmt.Sprintf("%d MiB of %d MiB used, %d %%", m.Used/mib, bound/mib, m.Used*100/bound)
	if m.Used > bound {
		return "", fmt.Errorf("%s: is a reconciler running? see plusone doctor", words)
	}
	return words, nil
}

// checkShards sees that the number of shards was changed while this process ran.
func (p *process) checkShards(ctx context.Context) (string, error) {
	shards, err := p.logs.OpenFor(ctx)
	if direct, _ := p.fence.Direct(); direct && err != nil {
		return "out of reach", nil //nolint:nilerr // that is what this mode is for
	}
	if err != nil {
		return "", err
	}
	open, err := counter.CheckOpen(shards)
	if err != nil {
		return "", fmt.Errorf("%w (plusone doctor tells the number that Postgres has)", err)
	}
	if open == len(shards) {
		return fmt.Sprintf("all %d are open", open), nil
	}
	return fmt.Sprintf("%d of %d are open, the others open with the first like", open, len(shards)), nil
}

// checkLogs watches what waits for the ledger. full is the length at which a
// shard's likes are refused.
func (p *process) checkLogs(full int) {
	p.checks = append(p.checks, listener.Check{Name: "log", Run: func(ctx context.Context) (string, error) {
		var waiting, longest int64
		var oldest time.Duration
		tails, err := p.logs.Tails(ctx)
		if direct, _ := p.fence.Direct(); direct && err != nil {
			return "out of reach; what it holds goes to Postgres when Redis is back", nil //nolint:nilerr // that is what this mode is for
		}
		if err != nil {
			return "", err
		}
		for _, tail := range tails {
			waiting += tail.Len
			longest = max(longest, tail.Len)
			if tail.Oldest > 0 {
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
