package main

import (
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// like has a user like an item, and returns status, headers and body.
func (h *house) like(t *testing.T, item, user string) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "PUT", h.api+"/v1/items/"+item+"/like", nil)
	must(t, err)
	req.Header.Set("X-User-ID", user)
	res, err := h.client.Do(req)
	must(t, err)
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	must(t, err)
	return res.StatusCode, res.Header, string(body)
}

func TestAQuotaBoundsWhatStaysOfAUsersLikes(t *testing.T) {
	t.Parallel()
	h := dev(t, filepath.Join(t.TempDir(), "data"), "--quota=2/8784h",
		"--participant=fraud="+newFraudCheck(t), "--participant-secret="+hookSecret)
	for _, item := range []string{"a", "b"} {
		if code, _, body := h.like(t, item, "ann"); code != http.StatusOK {
			t.Fatalf("%d %s", code, body)
		}
	}
	code, headers, body := h.like(t, "c", "ann")
	if code != http.StatusTooManyRequests || !strings.Contains(body, `"code":"quota_exceeded"`) || headers.Get("Retry-After") == "" ||
		!strings.HasPrefix(headers.Get("RateLimit"), `"quota";r=0;t=`) || headers.Get("RateLimit-Policy") != `"quota";q=2;w=31622400` {
		t.Errorf("one too many: %d %v %s", code, headers, body)
	}
	if code, _, body := h.like(t, "b", "ann"); code != http.StatusOK || !strings.Contains(body, `"changed":false`) {
		t.Errorf("the last one, repeated: %d %s", code, body)
	}

	// The fraud check rejects this one's likes: each gives its unit back.
	for _, item := range []string{"a", "b", "c", "d", "e"} {
		eventually(t, "there is a unit for "+item, func() bool {
			code, _, body := h.like(t, item, "bot")
			if code != http.StatusOK && code != http.StatusTooManyRequests {
				t.Errorf("%d %s", code, body)
			}
			return code == http.StatusOK
		})
	}
	eventually(t, "all are taken back", func() bool { return len(h.sagas(t, "list", "--state=compensated", "--user=bot")) == 5 })
	eventually(t, "so are their units", func() bool { return strings.Contains(h.quotas(t), "bot:0") })
	if got := h.quotas(t); !strings.Contains(got, "ann:2") {
		t.Errorf("used: %s", got)
	}
	if _, metrics := request(t, "GET", h.inside+"/metrics"); !strings.Contains(metrics, `plusone_quota_total{result="granted"}`) {
		t.Error("no metric")
	}
}

// quotas tells who has used how much.
func (h *house) quotas(t *testing.T) string {
	t.Helper()
	keys, err := h.rdb.Keys(t.Context(), "p1:*:quota").Result()
	must(t, err)
	var used []string
	for _, key := range keys {
		all, err := h.rdb.HGetAll(t.Context(), key).Result()
		must(t, err)
		for user, n := range all {
			used = append(used, user+":"+n)
		}
	}
	return strings.Join(used, " ")
}

func TestASettingOfQuotasThatSaysNothingIsRefused(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"--quota-refund-unlikes": "means nothing without --quota",
		"--quota=100":            "is not N/window",
		"--quota=0/1h":           "is not N/window",
		"--quota=5/1s":           "is not N/window",
	} {
		p := start(t, "api", "--redis-url=redis://127.0.0.1:1", "--postgres-url=postgres://127.0.0.1:1/x", args)
		if code := p.end(t, 0); code != exitUsage || !strings.Contains(p.said(), want) {
			t.Errorf("%s: %d %s", args, code, p.said())
		}
	}
}
