package doctor

import (
	"context"
	"fmt"
	"time"
)

// How far clocks may be apart. Versions come from Redis' clock alone; the others
// decide how old a like looks, when tokens end, and whether a receipt can be true.
const (
	clockWarning = time.Second
	clockWrong   = time.Minute
)

// clocks compares this machine's clock with those of the stores.
func (e *exam) clocks(ctx context.Context) error {
	if e.redis != nil {
		e.clock(ctx, "clock.redis", func(ctx context.Context) (time.Time, error) { return e.redis.Client().Time(ctx).Result() })
	}
	if e.ledger != nil {
		e.clock(ctx, "clock.postgres", func(ctx context.Context) (time.Time, error) {
			f, err := e.ledger.ServerFacts(ctx)
			return f.At, err
		})
	}
	return nil
}

// clock asks three times and takes the quickest answer: its time is that of the
// middle of the exchange, give or take half of it.
func (e *exam) clock(ctx context.Context, check string, ask func(context.Context) (time.Time, error)) {
	var ahead time.Duration
	slack := time.Duration(-1)
	if !e.ask(ctx, check, func(ctx context.Context) error {
		for range 3 {
			asked, began := e.now(), time.Now()
			there, err := ask(ctx)
			half := time.Since(began) / 2
			if err != nil {
				return err
			}
			if slack < 0 || half < slack {
				slack, ahead = half, there.Sub(asked.Add(half))
			}
		}
		return nil
	}) {
		return
	}
	e.report.add(judgeClock(check, ahead, slack))
}

func judgeClock(check string, ahead, slack time.Duration) Finding {
	const fix = "run a time daemon (chrony, systemd-timesyncd) on both machines"
	found := fmt.Sprintf("%s ahead of this machine's (give or take %s)", rounded(ahead), rounded(slack))
	if ahead < 0 {
		found = fmt.Sprintf("%s behind this machine's (give or take %s)", rounded(-ahead), rounded(slack))
	}
	switch off := ahead.Abs() - slack; {
	case off > clockWrong:
		return wrong(check, fix, "%s: tokens and receipts are judged wrongly, ages of likes are meaningless", found)
	case off > clockWarning:
		return warning(check, fix, "%s: lags and ages of likes look wrong by that much", found)
	}
	return ok(check, "%s", found)
}

func rounded(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }
