package saga_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"plusone/hotpath/like"
	"plusone/tasks"
	"plusone/tasks/ledger"
	"plusone/tasks/saga"
)

// stuck returns works with a saga that is stuck at giving back.
func stuck(t *testing.T) (*works, ledger.SagaRecord) {
	t.Helper()
	w := newWorks(t, "a", "b")
	w.asked[1].set(mood{reject: rejectAll})
	w.want(t, "page", "ann", like.Liked)
	w.drain(t)
	_, err := w.engine.Turn(t.Context(), "a")
	check(t, err)
	w.asked[0].set(mood{before: 500})
	w.settle(t, w.engine)
	found, err := w.ledger.Sagas(t.Context(), ledger.SagaFilter{State: ledger.SagaStuck, Item: "page", Participant: "a", Limit: 10})
	check(t, err)
	if len(found) != 1 {
		t.Fatalf("%d sagas are stuck", len(found))
	}
	return w, found[0]
}

func TestAnOperatorRetriesWhatIsStuck(t *testing.T) {
	t.Parallel()
	w, s := stuck(t)
	w.asked[0].set(mood{})
	n, err := w.ledger.RetryHanging(t.Context(), ledger.By{Who: "ann", Reason: "a is back"})
	check(t, err)
	w.settle(t, w.engine)
	w.agree(t, "page")
	if got := w.states(t, "page", "ann"); n != 1 || got != "+compensated -done" {
		t.Errorf("%d retried: %s", n, got)
	}
	_, acts, err := w.ledger.Saga(t.Context(), s.ID)
	check(t, err)
	if len(acts) != 1 || acts[0].Who != "ann" || acts[0].Reason != "a is back" || acts[0].State != ledger.SagaStuck {
		t.Errorf("acts: %+v", acts)
	}
}

func TestAnOperatorRetriesAtOnceWhatWaitsForALongPause(t *testing.T) {
	t.Parallel()
	w := newWorks(t, "a")
	w.asked[0].set(mood{before: 503})
	w.want(t, "page", "ann", like.Liked)
	w.drain(t)
	w.turn(t, w.engine)
	by := ledger.By{Who: "ann", Reason: "a is back"}
	for name, retry := range map[string]func(string) error{
		"one": func(id string) error { return w.ledger.ActOnSaga(t.Context(), id, ledger.ActRetry, by) },
		"all": func(string) error {
			_, err := w.ledger.RetryHanging(t.Context(), by)
			return err
		},
	} {
		var id string
		check(t, w.pool.QueryRow(t.Context(), `UPDATE sagas SET next_at = now() + interval '1 hour' RETURNING id`).Scan(&id))
		before := w.asked[0].called()
		w.turn(t, w.engine)
		check(t, retry(id))
		w.turn(t, w.engine)
		if n := w.asked[0].called() - before; n != 1 {
			t.Errorf("%s: %d calls", name, n)
		}
	}
}

func TestAnOperatorCompletesACompensationThatWasMadeByHand(t *testing.T) {
	t.Parallel()
	w, s := stuck(t)
	check(t, w.ledger.ActOnSaga(t.Context(), s.ID, ledger.ActComplete, ledger.By{Who: "ann", Reason: "given back by hand"}))
	w.settle(t, w.engine)
	if got := w.states(t, "page", "ann"); got != "+compensated -done" {
		t.Error(got)
	}
	if err := w.ledger.ActOnSaga(t.Context(), s.ID, ledger.ActComplete, ledger.By{Who: "ann", Reason: "again"}); !errors.Is(err, ledger.ErrActRefused) {
		t.Errorf("a saga that has ended: %v", err)
	}
	if err := w.ledger.ActOnSaga(t.Context(), "sag_none", ledger.ActRetry, ledger.By{Who: "ann", Reason: "what"}); !errors.Is(err, like.ErrNotFound) {
		t.Errorf("a saga that is not there: %v", err)
	}
}

func TestAnOperatorCompletesOrCompensatesWhatNobodyAnswers(t *testing.T) {
	t.Parallel()
	w := newWorks(t, "a", "b")
	w.asked[1].set(mood{before: 503})
	w.want(t, "page", "ann", like.Liked)
	w.want(t, "page", "bob", like.Liked)
	w.drain(t)
	w.turn(t, w.engine)
	for user, act := range map[string]string{"ann": ledger.ActComplete, "bob": ledger.ActCompensate} {
		found, err := w.ledger.Sagas(t.Context(), ledger.SagaFilter{User: user, Limit: 10})
		check(t, err)
		check(t, w.ledger.ActOnSaga(t.Context(), found[0].ID, act, ledger.By{Who: "op", Reason: "b is gone for good"}))
		_, acts, err := w.ledger.Saga(t.Context(), found[0].ID)
		check(t, err)
		if len(acts) != 1 || acts[0].Act != act || acts[0].Who != "op" || acts[0].State != ledger.SagaPending {
			t.Errorf("acts: %+v", acts)
		}
	}
	w.asked[1].set(mood{})
	w.settle(t, w.engine)
	if a, b := w.states(t, "page", "ann"), w.states(t, "page", "bob"); a != "+done" || b != "+compensated -done" {
		t.Errorf("completed: %s, compensated: %s", a, b)
	}
	if held := w.asked[1].likers("page"); len(held) != 0 {
		t.Errorf("asked all the same: %v", held)
	}
	if n := w.number(t, `SELECT sum(delta) FROM notifications`); n != 1 {
		t.Errorf("receivers are told of %d", n)
	}
}

func TestWhatIsStuckIsToldOnce(t *testing.T) {
	t.Parallel()
	w, s := stuck(t)
	var told []string
	status := http.StatusInternalServerError
	receiver := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		told = append(told, string(body))
		rw.WriteHeader(status)
	}))
	defer receiver.Close()
	hook, err := tasks.NewHook(tasks.Receiver{URL: receiver.URL, Secrets: []string{secret}}, time.Second, true)
	check(t, err)
	defer hook.Close()
	cfg := w.config()
	cfg.Alert = hook
	e, err := saga.New(w.ledger, w.log, w.Counter, func(...int) {}, prometheus.NewRegistry(), cfg)
	check(t, err)
	defer e.Close()
	if err := e.Alert(t.Context()); err == nil {
		t.Error("a receiver that fails is taken for told")
	}
	status = http.StatusNoContent
	check(t, e.Alert(t.Context()))
	check(t, e.Alert(t.Context()))
	if len(told) != 2 || told[0] != told[1] || !strings.Contains(told[0], s.ID) || strings.Contains(told[0], "ann") {
		t.Errorf("told: %q", told)
	}
	_, err = w.ledger.RetryHanging(t.Context(), ledger.By{Who: "ann", Reason: "a may be back"})
	check(t, err)
	w.settle(t, e)
	check(t, e.Alert(t.Context()))
	if len(told) != 3 {
		t.Errorf("what is stuck again was told %d times", len(told)-2)
	}
}

func TestAReceiptTellsOfTheSaga(t *testing.T) {
	t.Parallel()
	w := newWorks(t, "a")
	w.asked[0].set(mood{before: 503})
	receipt := w.want(t, "page", "ann", like.Liked).Receipt
	is := func(want like.Progress) {
		t.Helper()
		got, err := w.ledger.ReceiptState(t.Context(), receipt, "ann")
		check(t, err)
		if got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	is(like.Progress{State: like.Accepted})
	w.drain(t)
	w.turn(t, w.engine)
	is(like.Progress{State: like.Persisted})
	w.asked[0].set(mood{})
	w.settle(t, w.engine)
	is(like.Progress{State: like.Confirmed})
	for state, want := range map[string]like.State{"pending": like.Confirmed, "delivered": like.Notified, "exhausted": like.Exhausted} {
		_, err := w.pool.Exec(t.Context(), `
			WITH closed AS (UPDATE notifications SET seq = 1, closed_at = now() RETURNING seq)
			INSERT INTO deliveries (seq, receiver, state) SELECT seq, 'r', $1 FROM closed
			ON CONFLICT (seq, receiver) DO UPDATE SET state = EXCLUDED.state`, state)
		check(t, err)
		is(like.Progress{State: want})
	}

	w.asked[0].set(mood{reject: rejectAll})
	receipt = w.want(t, "other", "ann", like.Liked).Receipt
	w.settle(t, w.engine)
	is(like.Progress{State: like.Compensated, By: "a", Reason: "because"})
	if got, err := w.ledger.ReceiptState(t.Context(), receipt, "bob"); err != nil || got != (like.Progress{State: like.Persisted}) {
		t.Errorf("somebody else is told %+v, %v", got, err)
	}
}

func TestAReceiptOfWhatIsStuckTellsWhoRejectedItAndThatItIsBeingTakenBack(t *testing.T) {
	t.Parallel()
	w, s := stuck(t)
	got, err := w.ledger.ReceiptState(t.Context(), s.Receipt(), "ann")
	check(t, err)
	if got != (like.Progress{State: like.Compensating, By: "b", Reason: "because"}) {
		t.Errorf("%+v", got)
	}
}

func TestSagasThatHaveEndedAreForgottenAndOthersAreNot(t *testing.T) {
	t.Parallel()
	w := newWorks(t, "a")
	w.want(t, "old", "ann", like.Liked)
	w.want(t, "again", "ann", like.Liked)
	w.settle(t, w.engine)
	w.asked[0].set(mood{before: 503})
	w.want(t, "open", "ann", like.Liked)
	w.want(t, "again", "ann", like.NotLiked) // it needs to know what was before it
	w.drain(t)
	removed, err := w.ledger.PruneSagas(t.Context(), time.Hour)
	check(t, err)
	if removed != 0 {
		t.Errorf("%d removed before their time", removed)
	}
	removed, err = w.ledger.PruneSagas(t.Context(), -time.Hour)
	check(t, err)
	if n := w.number(t, `SELECT count(*) FROM sagas`); removed != 1 || n != 3 {
		t.Errorf("%d removed, %d left", removed, n)
	}
}

func TestASagaIsShownWithItsSteps(t *testing.T) {
	t.Parallel()
	w, s := stuck(t)
	r, acts, err := w.ledger.Saga(t.Context(), s.ID)
	check(t, err)
	text, err := json.Marshal(ledger.ShowSaga(r, acts).Steps)
	check(t, err)
	if got, want := string(text), `[{"participant":"a","state":"giving back"},{"participant":"b","state":"rejected"}]`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	w.asked[0].set(mood{})
}

// compensate takes back by hand what all have agreed to.
func (w *works) compensate(t *testing.T, user string) error {
	t.Helper()
	found, err := w.ledger.Sagas(t.Context(), ledger.SagaFilter{User: user, State: ledger.SagaDone, Limit: 10})
	check(t, err)
	return w.ledger.ActOnSaga(t.Context(), found[0].ID, ledger.ActCompensate, ledger.By{Who: "op", Reason: "fraud"})
}

func TestALikeThatIsDoneCanBeCompensatedByHand(t *testing.T) {
	t.Parallel()
	w := newWorks(t, "a", "b")
	receipt := w.want(t, "page", "ann", like.Liked).Receipt
	for _, user := range []string{"bob", "cy"} {
		w.want(t, "page", user, like.Liked)
	}
	w.settle(t, w.engine)
	check(t, w.compensate(t, "ann"))
	w.settle(t, w.engine)
	got, err := w.ledger.ReceiptState(t.Context(), receipt, "ann")
	check(t, err)
	if got != (like.Progress{State: like.Compensated, By: "operator", Reason: "fraud"}) {
		t.Errorf("its receipt says %+v", got)
	}
	if got := w.states(t, "page", "ann"); got != "+compensated -done" {
		t.Error(got)
	}
	if n := w.number(t, `SELECT sum(delta) FROM notifications`); n != 2 {
		t.Errorf("receivers are told of %d", n)
	}
	// What is newer stands, and is asked for anew.
	check(t, w.compensate(t, "bob"))
	w.want(t, "page", "bob", like.NotLiked)
	w.want(t, "page", "bob", like.Liked)
	w.settle(t, w.engine)
	if got := w.states(t, "page", "bob"); got != "+compensated +done" {
		t.Error(got)
	}
	// An earlier change is a later one's business.
	w.want(t, "page", "cy", like.NotLiked)
	w.settle(t, w.engine)
	if err := w.compensate(t, "cy"); !errors.Is(err, ledger.ErrActRefused) {
		t.Errorf("a like that was taken back: %v", err)
	}
	if got := w.agree(t, "page")["page"]; len(got) != 1 {
		t.Errorf("likers: %v", got)
	}
	if n := w.number(t, `SELECT sum(delta) FROM notifications`); n != 1 {
		t.Errorf("receivers are told of %d", n)
	}
}
