package saga_test

import (
	"context"
	"testing"
	"time"

	"plusone/hotpath/like"
	"plusone/tasks"
)

// run runs an engine and drains beside it until the test ends.
func (w *works) run(t *testing.T) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := w.engine.Run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	}()
	t.Cleanup(func() { stop(); <-ended })
}

func TestARunningEngineMakesAllStepsByItself(t *testing.T) {
	t.Parallel()
	w := newWorks(t, "a", "b", "gone")
	w.asked[1].set(mood{reject: rejectAll})
	w.want(t, "page", "ann", like.Liked)
	w.drain(t)
	w.run(t)
	w.until(t, "it is compensated", func() bool {
		w.drain(t)
		return w.states(t, "page", "ann") == "+compensated -done"
	})
}

func TestAnErasedUserLeavesNoSaga(t *testing.T) {
	t.Parallel()
	w := newWorks(t, "a")
	for _, page := range []string{"one", "two", "three"} {
		w.want(t, page, "ann", like.Liked)
		w.want(t, page, "bob", like.Liked)
	}
	w.drain(t)
	w.run(t)
	e := &tasks.Eraser{Likes: w.Counter, Log: w.log, Ledger: w.ledger, Wait: 20 * time.Second, Ring: func(shards ...int) {
		for _, s := range shards {
			w.drainOne(t, s)
		}
	}}
	done, err := e.Erase(t.Context(), "ann")
	check(t, err)
	if done.Unliked != 3 || done.Sagas != 6 || done.Tombstones != 3 {
		t.Errorf("%+v", done)
	}
	if left, bob := w.number(t, `SELECT count(*) FROM sagas WHERE user_id = 'ann'`), w.number(t, `SELECT count(*) FROM sagas`); left != 0 || bob != 3 {
		t.Errorf("%d sagas of her are left, %d in all", left, bob)
	}
	w.agree(t, "one", "two", "three")
}

// The saga's participant is not set any more: its patience and the limit of
// compensations end it all the same.
func TestASagaOfAParticipantThatIsNotSetAnyMoreEnds(t *testing.T) {
	t.Parallel()
	w := newWorks(t, "a", "b")
	w.want(t, "page", "ann", like.Liked)
	w.drain(t)
	w.asked = w.asked[:1]
	w.engine = w.newEngine(w.ledger)
	_, err := w.engine.Turn(t.Context(), "a")
	check(t, err)
	w.later(t, 25*time.Hour)
	check(t, w.engine.Strangers(t.Context()))
	if got := w.states(t, "page", "ann"); got != "+compensating" {
		t.Fatal(got)
	}
	for range 10 {
		w.later(t, time.Hour)
		check(t, w.engine.Strangers(t.Context()))
	}
	if got := w.states(t, "page", "ann"); got != "+stuck" {
		t.Error(got)
	}
}

// until waits for what a running engine does.
func (w *works) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for until := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("it never came to be that %s: %q", what, w.sagas(t))
		}
	}
}
