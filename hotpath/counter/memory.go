package counter

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"plusone/hotpath/like"
)

// FullPercent of the memory bound are what loads from the ledger may fill.
// Beyond it cold items wait for the janitor, which begins long before.
const FullPercent = 95

// Memory is what Redis uses and may use, in bytes. Max is 0 when it has no limit.
type Memory struct{ Used, Max int64 }

// Bound is what Redis shall use at most, in bytes: wanted, or when that is 0, 60 %
// of its limit, or 1 GiB when it has none.
func (m Memory) Bound(wanted int64) int64 {
	switch {
	case wanted > 0:
		return wanted
	case m.Max > 0:
		return m.Max / 10 * 6
	}
	return 1 << 30
}

// Memory asks Redis for its memory. Servers that do not tell (miniredis) use 0.
func (l *Log) Memory(ctx context.Context) (Memory, error) { return memory(ctx, l.rdb) }

func memory(ctx context.Context, rdb redis.UniversalClient) (Memory, error) {
	info, err := rdb.Info(ctx, "memory").Result()
	var reply redis.Error
	if errors.As(err, &reply) && strings.Contains(err.Error(), "is not supported") {
		return Memory{}, nil
	}
	if err != nil {
		return Memory{}, fmt.Errorf("ask redis for its memory: %w", unavailable(err))
	}
	return Memory{Used: field(info, "used_memory"), Max: field(info, "maxmemory")}, nil
}

// field reads a number out of INFO; 0 when it is not there.
func field(info, name string) int64 {
	n, _ := strconv.ParseInt(fieldText(info, name), 10, 64)
	return n
}

func fieldText(info, name string) string {
	_, rest, _ := strings.Cut("\n"+info, "\n"+name+":")
	value, _, _ := strings.Cut(rest, "\r")
	return value
}

// fullness is whether Redis has memory left, as last asked.
type fullness struct {
	asked atomic.Int64 // unix nanoseconds
	full  atomic.Bool
}

// askFull is for how long an answer about the memory is good.
const askFull = 10 * time.Millisecond

// full reports whether Redis has no memory left for more.
func (w *warmer) full(ctx context.Context) (bool, error) {
	f, now := &w.fullness, time.Now().UnixNano()
	if now-f.asked.Load() > int64(askFull) {
		m, err := memory(ctx, w.c.plain)
		if err != nil {
			return false, err
		}
		f.full.Store(m.Used > m.Bound(w.c.opt.MemoryMax)/100*FullPercent)
		f.asked.Store(now)
	}
	return f.full.Load(), nil
}

// room reports whether errands may go on to fill Redis. If not, they are tried
// again after a pause, in which the janitor makes idle items cold.
func (w *warmer) room(ctx context.Context, errands []errand) bool {
	full, err := w.full(ctx)
	switch {
	case err != nil:
		w.end(errands, err)
	case full:
		w.warn(fmt.Errorf("%w: redis has reached its memory bound", like.ErrBusy))
		w.later(errands)
	}
	return err == nil && !full
}
