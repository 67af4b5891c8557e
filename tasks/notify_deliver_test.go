package tasks_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"plusone/tasks"
)

func TestACrashBetweenSendAndRecordSendsAgainUnderTheSameID(t *testing.T) {
	t.Parallel()
	for name, crash := range map[string]func(s *stage, stop context.CancelFunc, r *http.Request){
		"the process stops": func(_ *stage, stop context.CancelFunc, r *http.Request) {
			stop()
			<-r.Context().Done()
		},
		"the ledger goes away": func(s *stage, _ context.CancelFunc, _ *http.Request) { s.pg.Cut(true) },
	} {
		t.Run(name, func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			var s *stage
			rec := newReceiver(t, func(i int, _ http.ResponseWriter, r *http.Request) {
				if i == 0 {
					crash(s, stop, r)
				}
			})
			s = newStage(t, tasks.NotifyConfig{Receivers: []tasks.Receiver{to(rec.URL)}})
			seq := s.due(s.r)
			s.handle(ctx, seq, s.r, 0)
			s.pg.Cut(false)
			if d := s.delivery(seq, s.r); d.State != "pending" || d.Attempts != 0 || !d.NextAt.After(time.Now()) {
				t.Fatalf("after the crash: %+v", d)
			}
			s.exec(`UPDATE deliveries SET next_at = now()`) // the claim runs out
			soon(t, "delivered", func() bool {
				s.handle(t.Context(), seq, s.r, 0)
				return s.delivery(seq, s.r).State == "delivered"
			})
			got := rec.all()
			if len(got) != 2 || got[0].Data.ID != got[1].Data.ID || s.delivery(seq, s.r).Attempts != 1 {
				t.Fatalf("%d messages, %+v", len(got), s.delivery(seq, s.r))
			}
		})
	}
}

func TestARecordWhoseReplyIsLostCountsOnce(t *testing.T) {
	t.Parallel()
	var s *stage
	rec := newReceiver(t, func(i int, w http.ResponseWriter, _ *http.Request) {
		s.pg.DropReplies(i == 1) // not yet while statements are prepared
		w.WriteHeader(500)
	})
	s = newStage(t, tasks.NotifyConfig{Receivers: []tasks.Receiver{to(rec.URL)}, Ladder: []time.Duration{time.Hour}})
	s.handle(t.Context(), s.due(s.r), s.r, 0)
	seq := s.due(s.r)
	s.handle(t.Context(), seq, s.r, 0)
	s.pg.DropReplies(false)
	soon(t, "recorded", func() bool { return s.delivery(seq, s.r).Attempts == 1 })
	if n := s.metric("plusone_notifications_total", "failed"); n != 1 {
		t.Fatalf("%v failures are known: the reply was not lost", n)
	}
	s.handle(t.Context(), seq, s.r, 0)
	if d := s.delivery(seq, s.r); d.Attempts != 1 || len(rec.all()) != 2 {
		t.Fatalf("%d messages, %+v", len(rec.all()), d)
	}
}

func TestTheSameTaskTwiceAtOnceIsOneAttempt(t *testing.T) {
	t.Parallel()
	for name, code := range map[string]int{"delivered": 200, "pending": 500} {
		t.Run(name, func(t *testing.T) {
			others := make(chan struct{}) // closed when all but one handler have returned
			rec := newReceiver(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
				<-others
				w.WriteHeader(code)
			})
			s := newStage(t, tasks.NotifyConfig{Receivers: []tasks.Receiver{to(rec.URL)}, Ladder: []time.Duration{time.Hour}})
			seq := s.due(s.r)
			const runs = 4
			returned := make(chan struct{}, runs)
			for range runs {
				go func() {
					s.handle(t.Context(), seq, s.r, 0)
					returned <- struct{}{}
				}()
			}
			for i := range runs {
				if i == runs-1 {
					close(others)
				}
				<-returned
			}
			if d := s.delivery(seq, s.r); len(rec.all()) != 1 || d.Attempts != 1 || d.State != name {
				t.Fatalf("%d messages, %+v", len(rec.all()), d)
			}
		})
	}
}

func TestATaskGoesOnWithWhatIsDueWhileTheReceiverTakesIt(t *testing.T) {
	t.Parallel()
	rec := newReceiver(t, func(i int, w http.ResponseWriter, _ *http.Request) {
		if i == 4 {
			w.WriteHeader(500)
		}
	})
	s := newStage(t, tasks.NotifyConfig{Receivers: []tasks.Receiver{to(rec.URL)}, Ladder: []time.Duration{time.Hour}})
	for range 6 {
		s.due(s.r, "another")
	}
	s.handle(t.Context(), s.notes()[2].Seq, s.r, 0)
	got := ""
	for _, m := range rec.all() {
		got += fmt.Sprint(m.Data.Seq-s.notes()[0].Seq, " ")
	}
	if got != "2 0 1 3 4 " {
		t.Fatalf("told of %s", got)
	}
	if d := s.delivery(s.notes()[5].Seq, s.r); d.Attempts != 0 {
		t.Fatalf("%+v", d)
	}
}

func TestHowAReceiversAnswerIsTaken(t *testing.T) {
	t.Parallel()
	elsewhere := newReceiver(t, status(200))
	cases := map[string]struct {
		answer    func(int, http.ResponseWriter, *http.Request)
		state     string
		lastError string
		next      time.Duration // from now, for those that are pending
	}{
		"201": {status(201), "delivered", "", 0},
		"302 is not followed": {func(_ int, w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusFound)
		}, "pending", "it answered 302", time.Minute},
		"307 is not followed": {func(_ int, w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		}, "pending", "it answered 307", time.Minute},
		"404":             {status(404), "pending", "it answered 404", time.Minute},
		"410 means never": {status(410), "exhausted", "it answered 410", 0},
		"503 with a delay": {func(_ int, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "1800")
			w.WriteHeader(503)
		}, "pending", "it answered 503", 30 * time.Minute},
		"429 with a delay beyond reason": {func(_ int, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "99999999")
			w.WriteHeader(429)
		}, "pending", "it answered 429", time.Hour},
		"no answer in time": {hang, "pending", "no answer within 500ms", time.Minute},
		"no answer at all":  {func(int, http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "pending", "EOF", time.Minute},
		"an endless body after 200": {func(_ int, w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 4096)); err != nil {
					return
				}
			}
		}, "delivered", "", 0},
	}
	// Who answers has all the time that a busy machine may take.
	patient := tasks.NotifyConfig{Timeout: time.Minute, Ladder: []time.Duration{time.Minute, 5 * time.Minute}}
	hasty := tasks.NotifyConfig{Timeout: 500 * time.Millisecond, Ladder: patient.Ladder}
	receivers := map[string]string{}
	for name, c := range cases {
		cfg := &patient
		if name == "no answer in time" {
			cfg = &hasty
		}
		r := to(newReceiver(t, c.answer).URL)
		receivers[name], cfg.Receivers = r.Name(), append(cfg.Receivers, r)
	}
	calm, brisk := newStage(t, patient), newStage(t, hasty)
	names := slices.Collect(maps.Values(receivers))
	seqs := map[*stage]int64{calm: calm.due(names...), brisk: brisk.due(names...)}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := calm
			if name == "no answer in time" {
				s = brisk
			}
			seq, start := seqs[s], time.Now()
			s.handle(t.Context(), seq, receivers[name], 0)
			took := time.Since(start)
			if took > patient.Timeout/2 {
				t.Errorf("took %v", took)
			}
			d := s.delivery(seq, receivers[name])
			if d.State != c.state || d.Attempts != 1 || !strings.Contains(d.Error, c.lastError) || (c.lastError == "") != (d.Error == "") {
				t.Errorf("%+v", d)
			}
			if in := d.NextAt.Sub(start); c.next != 0 && (in < c.next-time.Second || in > c.next+took+time.Second) {
				t.Errorf("again in %v, want %v", in, c.next)
			}
			if len(elsewhere.all()) != 0 {
				t.Error("a redirect was followed")
			}
		})
	}
}

// Workers are shared with drains: all receivers together hold no more than the
// settings say, even when that is fewer than there are receivers.
func TestReceiversThatHangHoldNoMoreWorkersThanSet(t *testing.T) {
	t.Parallel()
	cfg := tasks.NotifyConfig{}
	var names []string
	entered, leave := make(chan struct{}, 10), make(chan struct{})
	for range 10 {
		r := to(newReceiver(t, func(int, http.ResponseWriter, *http.Request) { entered <- struct{}{}; <-leave }).URL)
		cfg.Receivers, names = append(cfg.Receivers, r), append(names, r.Name())
	}
	s := newStage(t, cfg)
	seq := s.due(names...)
	var held sync.WaitGroup
	for _, name := range names[:8] { // as many as the stage allows at once
		held.Go(func() { s.handle(t.Context(), seq, name, 0) })
		<-entered
	}
	s.handle(t.Context(), seq, names[8], 0)
	if len(entered) != 0 || s.delivery(seq, names[8]).Attempts != 0 {
		t.Error("a ninth attempt began")
	}
	close(leave)
	held.Wait()
	s.handle(t.Context(), seq, names[8], 0)
	if s.delivery(seq, names[8]).State != "delivered" {
		t.Error("a place was not given back")
	}
}

func TestATaskThatMakesNoSenseIsDoneWith(t *testing.T) {
	t.Parallel()
	rec := newReceiver(t, status(200))
	s := newStage(t, tasks.NotifyConfig{Receivers: []tasks.Receiver{to(rec.URL)}})
	seq := s.due(s.r, "of another process")
	if err := s.HandleNotify(t.Context(), asynq.NewTask(tasks.TypeNotify, []byte("{"))); err != nil {
		t.Error(err)
	}
	s.handle(t.Context(), seq, "of another process", 0)
	s.handle(t.Context(), seq+1, s.r, 0)
	s.handle(t.Context(), seq, s.r, 1)
	if len(rec.all()) != 0 || s.delivery(seq, "of another process").State != "pending" {
		t.Error("something was sent or recorded")
	}
}
