package main

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// runs runs a command on the house's stores and returns what it says.
func (h *house) runs(t *testing.T, code int, command ...string) string {
	t.Helper()
	p := start(t, command...)
	if got := p.end(t, 0); got != code {
		t.Fatalf("plusone %s ends with %d: %s", strings.Join(command, " "), got, p.said())
	}
	return p.said()
}

func TestAFrozenItemAnswers409UntilItIsUnfrozen(t *testing.T) {
	t.Parallel()
	token := sha256.Sum256([]byte("letmein"))
	h := dev(t, filepath.Join(t.TempDir(), "data"), "--internal-token=sha256:"+hex.EncodeToString(token[:]))
	h.ask(t, "PUT", likeOf("page"), "ann")
	redis, pg := "--redis-url="+h.redis, "--postgres-url="+h.pg
	h.runs(t, exitOK, "item", "freeze", redis, pg, "--reason=a campaign", "--by=op", "page")

	refused := func(method, path string) {
		t.Helper()
		a, err := h.call(t.Context(), method, path, "bob")
		must(t, err)
		if a.Status != http.StatusConflict || a.Code != "item_frozen" {
			t.Errorf("%s %s: %+v", method, path, a)
		}
	}
	refused("PUT", likeOf("page"))
	refused("POST", likeOf("page")+"/toggle")
	h.drained(t)
	must(t, h.rdb.FlushAll(t.Context()).Err())
	refused("PUT", likeOf("page"))
	if a := h.ask(t, "PUT", likeOf("page"), "ann"); a.Changed || a.Count != 1 {
		t.Errorf("a like that was there: %+v", a)
	}
	status, body := h.postLikes(t, `{"ops":[{"item":"page","user":"bob","liked":true},{"item":"other","user":"bob","liked":true}]}`)
	if status != http.StatusOK || strings.Count(body, `"code":"item_frozen"`) != 1 || strings.Count(body, `"changed":true`) != 1 {
		t.Errorf("likes of two items: %d %s", status, body)
	}
	if a := h.ask(t, "DELETE", likeOf("page"), "ann"); !a.Changed || a.Count != 0 {
		t.Errorf("an unlike: %+v", a)
	}

	if said := h.runs(t, exitOK, "item", "list", pg); !strings.Contains(said, "page") || !strings.Contains(said, "a campaign") {
		t.Errorf("list: %s", said)
	}
	if code, _ := h.act(t, "", "/items/page/unfreeze", `{"reason":"over"}`); code != http.StatusUnauthorized {
		t.Errorf("without a token: %d", code)
	}
	if code, body := h.act(t, "letmein", "/items/page/unfreeze", `{"who":"cy","reason":"over"}`); code != http.StatusOK {
		t.Errorf("unfreeze: %d %s", code, body)
	}
	if a := h.ask(t, "PUT", likeOf("page"), "bob"); !a.Changed || a.Count != 1 {
		t.Errorf("a like after it: %+v", a)
	}
	said := h.runs(t, exitOK, "item", "show", pg, "page")
	if !strings.Contains(said, "freeze by op, when it was open: a campaign") || !strings.Contains(said, "unfreeze by internal token cy, when it was frozen: over") {
		t.Errorf("show: %s", said)
	}
	h.drained(t)
	h.agree(t, "page", 1)
}
