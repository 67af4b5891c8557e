package doctor

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"time"

	"plusone/hotpath/counter"
	"plusone/hotpath/like"
)

// shards compares the number of shards that is set, the ledger's and Redis', then
// each log with its watermark.
func (e *exam) shards(ctx context.Context) error {
	number := cmp.Or(int(e.Shards), like.DefaultShards)
	if e.schema && !e.storedShards(ctx, &number) {
		return nil
	}
	if !e.works {
		return nil
	}
	logs := counter.NewLog(e.redis.Client(), number)
	var open []string
	var tails []counter.Tail
	if !e.ask(ctx, "shards.redis", func(ctx context.Context) (err error) {
		if open, err = logs.OpenFor(ctx); err == nil {
			tails, err = logs.Tails(ctx)
		}
		return err
	}) {
		return nil
	}
	e.report.add(openShards(open), e.longest(tails))
	if e.schema {
		e.watermarks(ctx, logs, open, tails)
	}
	return nil
}

// storedShards compares the setting with the ledger's layout and sets number to
// the latter. It reports false when nothing can be said of the shards.
func (e *exam) storedShards(ctx context.Context, number *int) bool {
	const check = "shards.setting"
	stored := 0
	if !e.ask(ctx, check, func(ctx context.Context) (err error) {
		stored, err = e.ledger.Shards(ctx)
		return err
	}) {
		return false
	}
	switch {
	case stored == 0:
		e.report.add(ok(check, "%d; the ledger has none yet: the first start fixes the number", *number))
	case stored != *number && e.Shards == 0:
		*number = stored
		e.report.add(ok(check, "%d, the ledger's", stored))
	case stored != *number:
		e.report.add(wrong(check, fmt.Sprintf("set --shards=%d, or change the number with plusone migrate shards %d", stored, *number),
			"%d, but the ledger has %d: no process starts with it", *number, stored))
		*number = stored
	default:
		e.report.add(ok(check, "%d, as the ledger has", stored))
	}
	return true
}

// openShards judges what Redis' meta keys say, as /readyz does.
func openShards(shards []string) Finding {
	const check = "shards.redis"
	open, err := counter.CheckOpen(shards)
	if err != nil {
		return wrong(check, "run the plusone migrate shards that was cut off once more; if there was none, somebody else's data is in this Redis", "%v", err)
	}
	return ok(check, "%d of %d are open, the others open with the first like", open, len(shards))
}

// longest looks for the log that is nearest to refusing likes.
func (e *exam) longest(tails []counter.Tail) Finding {
	const check, fix = "log.length", "run a worker; see that it reaches Postgres, and what it logs"
	longest, shard := int64(0), 0
	for s, t := range tails {
		if t.Len > longest {
			longest, shard = t.Len, s
		}
	}
	full := int64(e.MaxPending)
	switch {
	case longest >= full:
		return wrong(check, fix, "the log of shard %d holds %d entries, the bound is %d: its likes are refused", shard, longest, full)
	case longest > full/2:
		return warning(check, fix, "the log of shard %d holds %d entries; at %d its likes are refused", shard, longest, full)
	}
	return ok(check, "at most %d entries in a shard, likes are refused at %d", longest, full)
}

// lagWarning is how old a like may be that Postgres lacks: a drain takes less
// than a second.
const lagWarning = 10 * time.Second

func (e *exam) watermarks(ctx context.Context, logs *counter.Log, open []string, tails []counter.Tail) {
	var marks map[int]like.Version
	lag, waiting := time.Duration(0), 0
	if !e.ask(ctx, "log.drained", func(ctx context.Context) (err error) {
		if marks, err = e.ledger.Watermarks(ctx); err != nil {
			return err
		}
		for shard, t := range tails {
			if t.Last <= marks[shard] || t.Len == 0 {
				continue
			}
			oldest, err := logs.Waits(ctx, shard, marks[shard])
			if err != nil {
				return err
			}
			if oldest > 0 {
				waiting++
				lag = max(lag, e.now().Sub(oldest.Time()))
			}
		}
		return nil
	}) {
		return
	}
	e.report.add(behind(open, tails, marks), drained(waiting, lag))
}

func drained(waiting int, lag time.Duration) Finding {
	const check = "log.drained"
	if lag > lagWarning {
		return warning(check, "run a worker; see that it reaches Postgres, and what it logs",
			"%d shards hold likes that Postgres lacks, the oldest for %s: they are as safe as Redis is", waiting, lag.Round(time.Second))
	}
	return ok(check, "%d shards hold likes that Postgres lacks, the oldest for %s", waiting, lag.Round(time.Millisecond))
}

// behind looks for logs that end below what the ledger has of them: Redis has
// lost something. After a change of the number of shards that is how it must be.
func behind(open []string, tails []counter.Tail, marks map[int]like.Version) Finding {
	const check = "log.watermarks"
	moved, lost := "moved to "+strconv.Itoa(len(open)), 0
	for shard, t := range tails {
		if t.Last < marks[shard] && open[shard] != moved {
			lost++
		}
	}
	if lost > 0 {
		return warning(check, "nothing to do: shards reopen with the next likes and items load again; find out how Redis lost its data (FLUSHALL, no append-only file, an old replica)",
			"%d of %d logs end before what Postgres has of them: likes that only Redis had are lost", lost, len(tails))
	}
	return ok(check, "no log ends before what Postgres has of it")
}
