package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

const hookSecret = "whsec_c2VjcmV0IG9mIHRoZSBlbmQgdG8gZW5kIHRlc3Rz"

// receiver is a webhook receiver that verifies what it gets.
type receiver struct {
	*httptest.Server
	status int

	mu  sync.Mutex
	got []message
}

type message struct {
	id   string
	at   time.Time
	Type string
	Data struct {
		Seq          int64
		ID, Item     string
		Count, Delta int64
	}
}

func newReceiver(t *testing.T, status int) *receiver {
	t.Helper()
	verify, err := webhooks.NewWebhook(hookSecret)
	must(t, err)
	r := &receiver{status: status}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err == nil {
			err = verify.Verify(body, req.Header)
		}
		m := message{id: req.Header.Get("webhook-id"), at: time.Now()}
		if err == nil {
			err = json.Unmarshal(body, &m)
		}
		if err != nil {
			t.Errorf("a notification that is not right: %v\n%s", err, body)
		}
		r.mu.Lock()
		r.got = append(r.got, m)
		r.mu.Unlock()
		w.WriteHeader(r.status)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) messages() []message {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]message(nil), r.got...)
}

func TestAReceiverGetsOneSignedNotificationPerItemAndWindow(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, http.StatusNoContent)
	h := dev(t, filepath.Join(t.TempDir(), "data"), "--webhook-window=2s", "--webhook-allow-private",
		"--webhook-url="+r.URL, "--webhook-secret="+hookSecret)
	status, body := h.postLikes(t, `{"ops":[
		{"item":"page","user":"ann","liked":true},{"item":"page","user":"bob","liked":true},{"item":"page","user":"cid","liked":true},
		{"item":"page","user":"cid","liked":false},{"item":"other","user":"ann","liked":true}]}`) // all before any window ends
	if status != http.StatusOK || strings.Count(body, `"changed":true`) != 5 {
		t.Fatalf("likes: %d %s", status, body)
	}
	eventually(t, "both items are told", func() bool { return len(r.messages()) >= 2 })
	h.ask(t, "PUT", likeOf("page"), "dan")
	eventually(t, "the next window is told", func() bool { return len(r.messages()) >= 3 })

	counts := map[string]string{}
	for _, m := range r.messages() {
		counts[m.Data.Item] += strings.Join([]string{strconv.FormatInt(m.Data.Count, 10), "by", strconv.FormatInt(m.Data.Delta, 10), ";"}, " ")
		if m.id != m.Data.ID {
			t.Errorf("header id %s, body id %s", m.id, m.Data.ID)
		}
	}
	if counts["page"] != "2 by 2 ;3 by 1 ;" || counts["other"] != "1 by 1 ;" || len(r.messages()) != 3 {
		t.Errorf("told: %v in %d messages", counts, len(r.messages()))
	}
}

func TestAReceiverThatFailsGetsTheLadderThenNoMoreAndCanPull(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, http.StatusInternalServerError)
	h := dev(t, filepath.Join(t.TempDir(), "data"), "--webhook-window=100ms", "--webhook-allow-private",
		"--webhook-url="+r.URL, "--webhook-secret="+hookSecret, "--webhook-ladder=300ms,600ms,900ms,1.2s,1.5s,1.8s,2.1s,2.4s")
	began := time.Now()
	h.ask(t, "PUT", likeOf("page"), "ann")
	eventually(t, "the delivery is exhausted", func() bool {
		var state string
		err := h.pool.QueryRow(t.Context(), `SELECT state FROM deliveries`).Scan(&state)
		return err == nil && state == "exhausted"
	})
	got := r.messages()
	if len(got) != 9 {
		t.Errorf("%d attempts, want the first and eight of the ladder", len(got))
	}
	for i, m := range got {
		if m.id != got[0].id {
			t.Errorf("attempt %d has another id", i)
		}
		// Whenever the first was noticed, it was not made before the like.
		if early := time.Duration(i)*300*time.Millisecond - m.at.Sub(began); early > 0 {
			t.Errorf("attempt %d came %v too early", i, early)
		}
	}
	eventually(t, "the metric tells of it", func() bool { return h.metric(t, "plusone_notifications_total", "exhausted") == 1 })

	pull := func(after int64) (list struct {
		Notifications []struct {
			Seq   int64
			ID    string
			State string
		}
	},
	) {
		req, err := http.NewRequestWithContext(t.Context(), "GET", h.api+"/v1/notifications?after="+strconv.FormatInt(after, 10), nil)
		must(t, err)
		req.Header.Set("Authorization", "Bearer "+h.key)
		res, err := h.client.Do(req)
		must(t, err)
		defer func() { _ = res.Body.Close() }()
		must(t, json.NewDecoder(res.Body).Decode(&list))
		return list
	}
	missed := pull(0).Notifications
	if len(missed) != 1 || missed[0].ID != got[0].id || missed[0].State != "exhausted" {
		t.Errorf("pulled %+v", missed)
	}
	if rest := pull(missed[0].Seq).Notifications; len(rest) != 0 {
		t.Errorf("after the last one: %+v", rest)
	}
}
