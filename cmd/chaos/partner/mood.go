package partner

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"time"
)

// Mood is how a participant treats calls.
type Mood int32

// The moods.
const (
	Well    Mood = iota
	Down         // answers 503 and does nothing
	Hangs        // does nothing, and never answers
	Forgets      // does what it is asked to and breaks off before it has answered
	Late         // does it when the caller has given up
)

// Timeout is how long plusone waits for an answer.
const Timeout = time.Second

// whim puts a mood before a participant.
func (p *Partner) whim(w http.ResponseWriter, r *http.Request) {
	mood := Mood(p.mood.Load())
	if mood == Well {
		p.next.ServeHTTP(w, r)
		return
	}
	p.upset.Add(1)
	switch mood {
	case Down:
		http.Error(w, "out of order", http.StatusServiceUnavailable)
		return
	case Hangs:
		await(r.Context(), 2*Timeout)
	case Forgets:
		p.next.ServeHTTP(httptest.NewRecorder(), r)
	case Late:
		p.late(r)
	}
	panic(http.ErrAbortHandler) // the connection is closed, without an answer
}

// late does what r asks for after its caller has gone.
func (p *Partner) late(r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // it did not come whole: nobody could do it
	}
	await(context.WithoutCancel(r.Context()), Timeout+Timeout/2)
	again := r.Clone(context.WithoutCancel(r.Context()))
	again.Body = io.NopCloser(bytes.NewReader(body))
	p.next.ServeHTTP(httptest.NewRecorder(), again)
}

func await(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
