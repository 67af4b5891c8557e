package main

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheConsoleWorksInABrowser(t *testing.T) {
	t.Parallel()
	needBrowser(t)
	const token = "letmein"
	sum := sha256.Sum256([]byte(token))
	h := dev(t, filepath.Join(t.TempDir(), "data"), "--webhook-window=100ms", "--internal-token=sha256:"+hex.EncodeToString(sum[:]))
	if n := inBrowser(t, "console.test.js", "PLUSONE_INSIDE="+h.inside, "PLUSONE_TOKEN="+token, "PLUSONE_API="+h.api, "PLUSONE_KEY="+h.key); n < 9 {
		t.Errorf("%d are not all tests", n)
	}
}

func TestInDevEverybodyLooksAndWhoActsLogsIn(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	h := dev(t, data)
	token, err := os.ReadFile(filepath.Join(data, "internal-token"))
	must(t, err)
	h.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	form := func(path string, values url.Values, cookie string) *http.Response {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.inside+path, strings.NewReader(values.Encode()))
		must(t, err)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Cookie", cookie)
		res, err := h.client.Do(req)
		must(t, err)
		_ = res.Body.Close()
		return res
	}
	for _, page := range []string{"/console/", "/console/repairs", "/readyz", "/metrics"} {
		if code, body := request(t, "GET", h.inside+page); code != http.StatusOK || strings.Contains(page, "console") && !strings.Contains(body, "Log in to act") {
			t.Errorf("%s: %d", page, code)
		}
	}
	act := url.Values{"act": {"item/freeze"}, "id": {"page"}, "reason": {"a test"}}
	if to := form("/console/act", act, "").Header.Get("Location"); !strings.HasPrefix(to, "/console/login") {
		t.Errorf("a stranger acts and is led to %q", to)
	}
	if code, _ := request(t, "POST", h.inside+"/items/page/freeze"); code != http.StatusUnauthorized {
		t.Errorf("a stranger's program: %d", code)
	}
	res := form("/console/login", url.Values{"token": {strings.TrimSpace(string(token))}}, "")
	if res.StatusCode != http.StatusSeeOther || len(res.Cookies()) != 1 {
		t.Fatalf("login: %s", res.Status)
	}
	cookie := res.Cookies()[0]
	if res := form("/console/act", act, cookie.Name+"="+cookie.Value); res.StatusCode != http.StatusForbidden {
		t.Errorf("without its form: %s", res.Status)
	}
}

func TestAnItemIsReconciledAndANotificationIsSentOnceMoreByCommand(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, 200)
	h := dev(t, filepath.Join(t.TempDir(), "data"), "--webhook-window=100ms", "--webhook-allow-private",
		"--webhook-url="+r.URL, "--webhook-secret="+hookSecret)
	pg, rdb := "--postgres-url="+h.pg, "--redis-url="+h.redis
	h.ask(t, "PUT", likeOf("page"), "ann")
	eventually(t, "it is told", func() bool { return len(r.messages()) == 1 })
	eventually(t, "that is noted", func() bool {
		return strings.Contains(h.runs(t, exitOK, "notification", "list", pg, "--state=delivered"), "page")
	})
	h.runs(t, exitUsage, "notification", "resend", pg, "--reason= ", "1")
	h.runs(t, exitOK, "notification", "resend", pg, "--reason=it has lost it", "1")
	eventually(t, "it is told once more", func() bool { return len(r.messages()) == 2 })
	if all := r.messages(); all[0].id != all[1].id {
		t.Errorf("one notification has two ids: %+v", all)
	}
	if said := h.runs(t, exitOK, "notification", "show", pg, "1"); !strings.Contains(said, "when it was delivered: it has lost it") {
		t.Errorf("show: %s", said)
	}
	h.runs(t, exitFailed, "notification", "resend", pg, "--reason=x", "99")

	h.drained(t)
	_, err := h.pool.Exec(t.Context(), `UPDATE item_counts SET count = 7 WHERE item_id = 'page'`)
	must(t, err)
	if said := h.runs(t, exitOK, "item", "reconcile", rdb, pg, "--reason=a complaint", "page"); !strings.Contains(said, "7 → 1") {
		t.Errorf("reconcile: %s", said)
	}
	h.agree(t, "page", 1)
	if said := h.runs(t, exitOK, "item", "show", pg, "page"); !strings.Contains(said, "a complaint") {
		t.Errorf("show: %s", said)
	}
}
