package partner

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestEveryMoodButBeingWellLeavesTheCallerWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		mood     Mood
		answered int // 0: not at all
		done     bool
	}{
		"well": {Well, 200, true}, "down": {Down, 503, false}, "hangs": {Hangs, 0, false}, "forgets": {Forgets, 0, true}, "late": {Late, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			done := make(chan struct{}, 1)
			p := &Partner{next: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { done <- struct{}{} })}
			srv := httptest.NewServer(http.HandlerFunc(p.whim))
			t.Cleanup(srv.Close)
			p.Be(c.mood)
			client := &http.Client{Timeout: Timeout}
			res, err := client.Post(srv.URL, "application/json", strings.NewReader("{}"))
			got := 0
			if err == nil {
				got = res.StatusCode
				_ = res.Body.Close()
			}
			if got != c.answered {
				t.Errorf("answered %d (%v)", got, err)
			}
			select {
			case <-done:
				if !c.done {
					t.Error("it did what it should not do")
				}
			case <-time.After(3 * Timeout):
				if c.done {
					t.Error("it did nothing")
				}
			}
		})
	}
}
