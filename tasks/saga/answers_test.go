package saga_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"plusone/hotpath/like"
)

// answering puts a service in a participant's place.
func (w *works) answering(i int, h http.HandlerFunc) {
	srv := httptest.NewServer(h)
	w.t.Cleanup(srv.Close)
	w.asked[i].Server = srv
	w.engine = w.newEngine(w.ledger)
}

func TestThoseWhoAgreedGiveItBackInReverseOrder(t *testing.T) {
	t.Parallel()
	w := newWorks(t, "a", "b", "c", "d")
	var mu sync.Mutex
	var heard []string
	for i, p := range w.asked {
		next := p.Config.Handler
		w.answering(i, func(rw http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			var c call
			if err == nil {
				err = json.Unmarshal(body, &c)
			}
			if err != nil {
				t.Errorf("a call of %s: %v", p.name, err)
			}
			mu.Lock()
			heard = append(heard, c.Step+" "+p.name)
			mu.Unlock()
			r.Body = io.NopCloser(bytes.NewReader(body))
			next.ServeHTTP(rw, r)
		})
	}
	w.asked[3].set(mood{reject: rejectAll})
	w.want(t, "page", "ann", like.Liked)
	w.settle(t, w.engine)
	w.agree(t, "page")
	mu.Lock()
	defer mu.Unlock()
	if got, want := strings.Join(heard, ", "), "try a, try b, try c, try d, compensate c, compensate b, compensate a"; got != want {
		t.Errorf("they heard: %s", got)
	}
}

// clearAnswer is an answer, and what becomes of a step that gets it.
type clearAnswer struct {
	status       int
	result, then string
}

func TestOnlyAClearAnswerEndsAStep(t *testing.T) {
	t.Parallel()
	w := newWorks(t, "a")
	var now atomic.Pointer[clearAnswer]
	w.answering(0, func(rw http.ResponseWriter, r *http.Request) {
		var c call
		if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
			t.Errorf("a call: %v", err)
		}
		rw.WriteHeader(now.Load().status)
		_ = json.NewEncoder(rw).Encode(map[string]any{"results": []said{{Saga: c.Ops[0].Saga, Result: now.Load().result}}})
	})
	w.want(t, "page", "ann", like.Liked)
	w.drain(t)
	ask := func(after time.Duration, all ...clearAnswer) {
		t.Helper()
		for _, c := range all {
			now.Store(&c)
			w.later(t, after)
			_, err := w.engine.Turn(t.Context(), "a")
			check(t, err)
			if got := w.sagas(t)[0]; !strings.HasPrefix(got, "page ann + "+c.then) {
				t.Errorf("%d %q: %s", c.status, c.result, got)
			}
		}
	}
	ask(
		time.Hour,
		clearAnswer{202, "done", "pending step 0"},
		clearAnswer{500, "done", "pending step 0"},
		clearAnswer{409, "rejected", "pending step 0"},
		clearAnswer{200, "DONE", "pending step 0"},
		clearAnswer{200, "", "pending step 0"},
		clearAnswer{200, "retry", "pending step 0"},
	)
	ask(25*time.Hour, clearAnswer{200, "retry", "compensating step 1"}) // it may have done it
	ask(
		time.Hour,
		clearAnswer{200, "rejected", "compensating step 1"},
		clearAnswer{500, "done", "compensating step 1"},
		clearAnswer{200, "done", "compensating step 0"},
	)
}

// Pauses double from a second to five minutes, and are half as long at least.
func TestPausesGrowAndStayShort(t *testing.T) {
	t.Parallel()
	w := newWorks(t, "a")
	w.asked[0].set(mood{before: 503})
	w.want(t, "page", "ann", like.Liked)
	w.drain(t)
	for attempt := range 14 {
		w.later(t, 6*time.Minute)
		start := time.Now()
		_, err := w.engine.Turn(t.Context(), "a")
		check(t, err)
		if n := w.asked[0].called(); n != attempt+1 {
			t.Fatalf("%d calls in %d attempts", n, attempt+1)
		}
		pause := time.Duration(w.number(t, `SELECT (extract(epoch FROM next_at - now()) * 1e6)::bigint FROM sagas`)) * time.Microsecond
		most := min(time.Second<<attempt, 5*time.Minute)
		if pause > most || pause < most/2-time.Since(start) {
			t.Errorf("after attempt %d a pause of %v, want %v to %v", attempt+1, pause, most/2, most)
		}
	}
}
