package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"plusone/tasks/barrier"
	"plusone/tasks/ledger"
)

// newFraudCheck is a participant that agrees to all users but one.
func newFraudCheck(t *testing.T) string {
	t.Helper()
	verify, err := barrier.NewVerifier(hookSecret)
	must(t, err)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = verify.Verify(r.Header, body, time.Now())
		}
		var c struct {
			Step string
			Ops  []struct{ Saga, User string }
		}
		if err == nil {
			err = json.Unmarshal(body, &c)
		}
		if err != nil {
			t.Errorf("a call that is not right: %v\n%s", err, body)
		}
		results := []map[string]string{}
		for _, o := range c.Ops {
			result := map[string]string{"saga": o.Saga, "result": "done"}
			switch {
			case o.User == "bot" && c.Step == "try":
				result["result"], result["reason"] = "rejected", "no person"
			case o.User == "slow":
				result["result"] = "retry"
			}
			results = append(results, result)
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"results": results})
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

func TestALikeThatAParticipantRejectsIsTakenBackAndItsReceiptTellsWhy(t *testing.T) {
	t.Parallel()
	token := sha256.Sum256([]byte("letmein"))
	h := dev(t, filepath.Join(t.TempDir(), "data"), "--participant=fraud="+newFraudCheck(t), "--participant-secret="+hookSecret,
		"--internal-token=sha256:"+hex.EncodeToString(token[:]))
	bot := h.receipt(t, "bot")
	good := h.receipt(t, "ann")
	h.receipt(t, "slow")
	eventually(t, "the bot's like is taken back", func() bool {
		return strings.Contains(h.state(t, bot, "bot"), `"state":"compensated","by":"fraud","reason":"no person"`)
	})
	eventually(t, "the other is confirmed", func() bool { return strings.Contains(h.state(t, good, "ann"), `"confirmed"`) })
	if body := h.get(t, "/v1/items/page", "bot"); !strings.Contains(body, `"count":2,"liked":false`) {
		t.Errorf("the item is %s", body)
	}
	if got := h.state(t, bot, "ann"); strings.Contains(got, "fraud") {
		t.Errorf("somebody else is told %s", got)
	}

	var open []ledger.SagaView
	eventually(t, "one like waits, and the bot's unlike does not any more", func() bool {
		open = h.sagas(t, "list", "--state=pending")
		return len(open) == 1 && open[0].User == "slow" && open[0].WaitsFor == "fraud"
	})
	if code, _ := h.operate(t, "", open[0].ID+"/complete", `{"reason":"known person"}`); code != http.StatusUnauthorized {
		t.Errorf("an act without the token: %d", code)
	}
	if code, _ := h.operate(t, "letmein", open[0].ID+"/complete", `{"who":"op"}`); code != http.StatusBadRequest {
		t.Errorf("an act without a reason: %d", code)
	}
	if code, body := h.operate(t, "letmein", open[0].ID+"/complete", `{"who":"op","reason":"known person"}`); code != http.StatusOK {
		t.Errorf("complete: %d %s", code, body)
	}
	eventually(t, "it is done", func() bool { return len(h.sagas(t, "list", "--state=done", "--user=slow")) == 1 })
	p := start(t, "saga", "show", "--postgres-url="+h.pg, open[0].ID)
	if code := p.end(t, 0); code != exitOK || !strings.Contains(p.said(), "complete by internal token op, when it was pending: known person") {
		t.Errorf("%d %s", code, p.said())
	}
	p = start(t, "saga", "retry", "--postgres-url="+h.pg, "--reason=again", open[0].ID)
	if code := p.end(t, 0); code != exitFailed || !strings.Contains(p.said(), "state does not allow") {
		t.Errorf("%d %s", code, p.said())
	}
}

// receipt has a user like the page and returns the receipt.
func (h *house) receipt(t *testing.T, user string) string {
	t.Helper()
	var got struct{ Receipt string }
	req, err := http.NewRequestWithContext(t.Context(), "PUT", h.api+"/v1/items/page/like", nil)
	must(t, err)
	req.Header.Set("X-User-ID", user)
	res, err := h.client.Do(req)
	must(t, err)
	defer func() { _ = res.Body.Close() }()
	must(t, json.NewDecoder(res.Body).Decode(&got))
	if got.Receipt == "" {
		t.Fatal("no receipt")
	}
	return got.Receipt
}

func (h *house) state(t *testing.T, receipt, user string) string {
	t.Helper()
	return h.get(t, "/v1/receipts/"+receipt, user)
}

func (h *house) get(t *testing.T, path, user string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", h.api+path, nil)
	must(t, err)
	req.Header.Set("X-User-ID", user)
	res, err := h.client.Do(req)
	must(t, err)
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	must(t, err)
	return string(body)
}

// sagas runs plusone saga and returns what it lists.
func (h *house) sagas(t *testing.T, command ...string) []ledger.SagaView {
	t.Helper()
	p := start(t, append(append([]string{"saga"}, command...), "--json", "--postgres-url="+h.pg)...)
	if code := p.end(t, 0); code != exitOK {
		t.Fatalf("plusone saga ends with %d: %s", code, p.said())
	}
	var list struct{ Sagas []ledger.SagaView }
	must(t, json.Unmarshal([]byte(p.said()), &list))
	return list.Sagas
}

// operate acts on a saga through the internal listener.
func (h *house) operate(t *testing.T, token, path, body string) (int, string) {
	t.Helper()
	return h.act(t, token, "/sagas/"+path, body)
}

// act acts through the internal listener.
func (h *house) act(t *testing.T, token, path, body string) (int, string) {
	t.Helper()
	return h.post(t, h.inside+path, token, body)
}

// postLikes sends ops as a server.
func (h *house) postLikes(t *testing.T, body string) (int, string) {
	t.Helper()
	return h.post(t, h.api+"/v1/likes", h.key, body)
}

func (h *house) post(t *testing.T, url, token, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "POST", url, bytes.NewBufferString(body))
	must(t, err)
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	client := &http.Client{Timeout: 30 * time.Second, Transport: h.client.Transport}
	res, err := client.Do(req)
	must(t, err)
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	must(t, err)
	return res.StatusCode, string(text)
}
