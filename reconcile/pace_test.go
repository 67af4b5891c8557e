package reconcile

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestARoundRestsForItsWorkAndASinglePassDoesNot(t *testing.T) {
	const work = 2 * time.Millisecond
	took := func(p *pass, pay func(*pass) error) time.Duration {
		start := time.Now()
		ok(t, pay(p))
		return time.Since(start)
	}
	all := func(p *pass) error { return p.pay(t.Context()) }
	page := func(p *pass) error { return p.breathe(t.Context(), work) }

	round := &pass{Reconciler: &Reconciler{}, spent: work}
	if d := took(round, page); d < work || round.spent != work {
		t.Errorf("under a pin it rests %v for %v, and owes %v", d, work, round.spent)
	}
	if d := took(round, all); d < (share-1)*work {
		t.Errorf("it rests %v for %v", d, work)
	}
	if round.spent != 0 {
		t.Errorf("it still owes %v", round.spent)
	}
	single := &pass{Reconciler: &Reconciler{}, hurry: true, spent: time.Hour}
	if d := took(single, all) + took(single, page); d > time.Minute {
		t.Errorf("a single pass rests %v", d)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	round.spent = time.Hour
	if err := round.pay(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a rest that is cut off: %v", err)
	}
}

func TestRecentItemsTakeHalfOfTheTimeAtMost(t *testing.T) {
	p := &pass{Reconciler: &Reconciler{opt: Options{Every: time.Second}}}
	if p.late() {
		t.Error("a single pass looks at recent items")
	}
	p.recent = time.Now().Add(-time.Minute)
	if !p.late() {
		t.Error("recent items are not looked at again")
	}
	if p.took = time.Hour; p.late() {
		t.Error("a look that took an hour is followed by the next after a minute")
	}
}
