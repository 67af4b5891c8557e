package saga_test

import (
	"strings"
	"testing"
	"time"

	"plusone/hotpath/counter"
	"plusone/hotpath/like"
)

func TestALikeThatAllAgreeToIsDoneAndTold(t *testing.T) {
	t.Parallel()
	w := newWorks(t, "fraud", "points")
	for _, u := range users(20) {
		w.want(t, "page", u, like.Liked)
	}
	w.want(t, "page", "u003", like.NotLiked)
	w.settle(t, w.engine)
	if got := w.agree(t, "page")["page"]; len(got) != 19 {
		t.Errorf("likers: %v", got)
	}
	if a, b := w.asked[0].called(), w.asked[1].called(); a != 1 || b != 1 {
		t.Errorf("%d and %d calls, want one batch each", a, b)
	}
}

func TestWithoutParticipantsNoSagaIsWritten(t *testing.T) {
	t.Parallel()
	w := newWorks(t)
	w.want(t, "page", "ann", like.Liked)
	w.drain(t)
	if n := w.number(t, `SELECT count(*) FROM sagas`); n != 0 {
		t.Errorf("%d sagas", n)
	}
	w.agree(t, "page") // and receivers are told by the drain
}

func TestALikeThatTheLastOneRejectsIsGivenBackInReverseOrderAndToldToNobody(t *testing.T) {
	t.Parallel()
	w := newWorks(t, "a", "b", "c")
	w.asked[2].set(mood{reject: func(p counter.Pair) bool { return p.User == "bad" }})
	w.want(t, "page", "bad", like.Liked)
	w.want(t, "page", "good", like.Liked)
	w.settle(t, w.engine)
	if got := w.agree(t, "page")["page"]; len(got) != 1 || got[0] != "good" {
		t.Errorf("likers: %v", got)
	}
	if got := w.states(t, "page", "bad"); got != "+compensated -done" {
		t.Errorf("sagas of the bad one: %s", got)
	}
	if all := strings.Join(w.sagas(t), "\n"); !strings.Contains(all, "by c because") {
		t.Errorf("who and why is not kept:\n%s", all)
	}
}

func TestAnUnlikeThatIsRejectedBringsTheLikeBack(t *testing.T) {
	t.Parallel()
	w := newWorks(t, "a")
	w.want(t, "page", "ann", like.Liked)
	w.settle(t, w.engine)
	w.asked[0].set(mood{reject: rejectAll})
	w.want(t, "page", "ann", like.NotLiked)
	w.settle(t, w.engine)
	if got := w.agree(t, "page")["page"]; len(got) != 1 {
		t.Errorf("likers: %v", got)
	}
}

func TestAnUnlikeWaitsForItsLikeAndAsksNobodyWhenThatWasRejected(t *testing.T) {
	t.Parallel()
	w := newWorks(t, "a", "b")
	w.asked[1].set(mood{reject: rejectAll})
	w.want(t, "page", "ann", like.Liked)
	w.drain(t)
	w.want(t, "page", "ann", like.NotLiked)
	w.drain(t)
	w.settle(t, w.engine)
	w.agree(t, "page")
	if got := w.states(t, "page", "ann"); got != "+compensated -done" {
		t.Errorf("sagas: %s", got)
	}
}

// The log folds an unlike and a like into nothing, so no new saga would begin.
func TestALikeThatIsRepeatedWhileItIsRejectedIsAskedForAnew(t *testing.T) {
	t.Parallel()
	for name, reject := range map[string]bool{"and rejected again": true, "and agreed to": false} {
		w := newWorks(t, "a")
		w.asked[0].set(mood{reject: rejectAll})
		w.want(t, "page", "ann", like.Liked)
		w.drain(t)
		w.turn(t, w.engine) // rejected, and taken back in Redis
		if !reject {
			w.asked[0].set(mood{})
		}
		if r := w.want(t, "page", "ann", like.Liked); !r.Changed {
			t.Fatalf("%s: it was not taken back", name)
		}
		w.settle(t, w.engine)
		got, want := w.states(t, "page", "ann"), "+compensated +done"
		if reject {
			want = "+compensated +compensated -done"
		}
		if got != want {
			t.Errorf("%s: %s", name, got)
		}
		w.agree(t, "page")
	}
}

func TestWhoDoesNotAnswerIsAskedAgainWithPausesAndGetsACompensation(t *testing.T) {
	t.Parallel()
	w := newWorks(t, "a", "b")
	w.asked[1].set(mood{silent: true}) // it does what it is asked for, and its answer is lost
	w.want(t, "page", "ann", like.Liked)
	w.drain(t)
	w.turn(t, w.engine)
	w.turn(t, w.engine) // not due yet
	if n := w.asked[1].called(); n != 1 {
		t.Errorf("%d calls at once", n)
	}
	w.later(t, 25*time.Hour)
	w.turn(t, w.engine)
	if got := w.states(t, "page", "ann"); got != "+compensating" {
		t.Fatalf("after its patience: %s", got)
	}
	w.asked[1].set(mood{})
	w.settle(t, w.engine)
	if got := w.agree(t, "page")["page"]; len(got) != 0 {
		t.Errorf("likers: %v", got)
	}
	if w.asked[1].steps == nil || len(w.asked[1].likers("page")) != 0 {
		t.Error("the silent one still holds it")
	}
}

func TestACompensationThatFailsTooOftenIsStuck(t *testing.T) {
	t.Parallel()
	w := newWorks(t, "a", "b")
	w.asked[1].set(mood{reject: rejectAll})
	w.want(t, "page", "ann", like.Liked)
	w.drain(t)
	_, err := w.engine.Turn(t.Context(), "a")
	check(t, err)
	w.asked[0].set(mood{before: 500})
	w.settle(t, w.engine)
	if got := w.states(t, "page", "ann"); got != "+stuck" {
		t.Fatal(got)
	}
	if n := w.asked[0].called(); n != 11 {
		t.Errorf("%d calls, want 1 try and 10 compensations", n)
	}
}
