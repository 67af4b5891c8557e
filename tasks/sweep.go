package tasks

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"plusone/hotpath/counter"
	"plusone/hotpath/like"
	"plusone/tasks/ledger"
)

const (
	sweepEvery = time.Second
	// sweepTime bounds a sweep's look at each store.
	sweepTime = 2 * time.Second
)

// Sweeper looks at every log once a second, rings for those that hold what the
// ledger lacks, trims what a crash left behind, and sets the gauges of the logs. After
// a restore of the ledger it brings the watermarks back to the ends of the logs: below
// them nothing that the ledger says of votes can be relied on.
// Every worker runs one; that several ring for the same shard does no harm.
type Sweeper struct {
	log     *counter.Log
	ledger  *ledger.Ledger
	bell    *Bell
	metrics logMetrics
	marks   map[int]like.Version // as last read; Run's alone
	ends    map[int]like.Version // of logs that were empty at the last look, above their watermarks
	next    int                  // the shard to begin with: where the last sweep had to stop
}

// NewSweeper returns a Sweeper and registers plusone_log_… and
// plusone_drain_lag_seconds.
func NewSweeper(log *counter.Log, l *ledger.Ledger, bell *Bell, reg prometheus.Registerer) *Sweeper {
	return &Sweeper{log: log, ledger: l, bell: bell, metrics: newLogMetrics(reg), ends: map[int]like.Version{}}
}

// Run sweeps until ctx ends.
func (s *Sweeper) Run(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		s.sweep(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// sweep goes on with the last known watermarks when Postgres is away: one that
// is too low causes a needless ring.
func (s *Sweeper) sweep(ctx context.Context) {
	look, cancel := context.WithTimeout(ctx, sweepTime)
	marks, err := s.ledger.Watermarks(look)
	cancel()
	if err != nil {
		slog.DebugContext(ctx, "sweep: read watermarks", "error", err)
		clear(s.ends)
	} else {
		s.marks = marks
	}
	look, cancel = context.WithTimeout(ctx, sweepTime)
	defer cancel()
	for range s.log.Shards() {
		if err := s.look(look, s.next); err != nil {
			slog.DebugContext(ctx, "sweep: look at a log", "shard", s.next, "error", err)
			return
		}
		s.next = (s.next + 1) % s.log.Shards()
	}
}

func (s *Sweeper) look(ctx context.Context, shard int) error {
	tail, err := s.log.Tail(ctx, shard)
	if err != nil {
		return err
	}
	if tail.Len == 0 {
		s.metrics.set(shard, 0, 0, 0)
		return s.catchUp(ctx, shard, tail.Last)
	}
	delete(s.ends, shard)
	mark, now := s.marks[shard], time.Now()
	age, lag := since(now, tail.Oldest), time.Duration(0)
	if tail.Last > mark {
		s.bell.Later(shard) // a busy one was rung for without this
		var oldest like.Version
		oldest, err = s.log.Waits(ctx, shard, mark)
		lag = since(now, oldest)
	} else {
		err = s.log.Trim(ctx, shard, mark)
	}
	s.metrics.set(shard, tail.Len, max(age, 0), max(lag, 0))
	return err
}

// catchUp makes an entry for a drain where an empty log ends above the watermark. What
// emptied it had been committed, so a watermark that was read after that look and is
// still below has gone back.
func (s *Sweeper) catchUp(ctx context.Context, shard int, end like.Version) error {
	seen := s.ends[shard]
	delete(s.ends, shard)
	switch {
	case end <= s.marks[shard]:
		return nil
	case end != seen:
		s.ends[shard] = end
		return nil
	}
	marked, err := s.log.Mark(ctx, shard, end)
	if marked {
		slog.WarnContext(ctx, "the ledger has lost the end of a log, as if it were restored from a backup", "shard", shard)
		s.bell.Ring(shard)
	}
	return err
}

// since is the age of a change, zero when there is none.
func since(now time.Time, v like.Version) time.Duration {
	if v == 0 {
		return 0
	}
	return now.Sub(v.Time())
}
