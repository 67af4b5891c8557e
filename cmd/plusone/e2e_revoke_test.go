package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"plusone/tasks/ledger"
)

// lastLine reads the last line of what a command says.
func lastLine(t *testing.T, said string, into any) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(said), "\n")
	must(t, json.Unmarshal([]byte(lines[len(lines)-1]), into))
}

func TestARevocationIsMadeShownAndUndone(t *testing.T) {
	t.Parallel()
	token := sha256.Sum256([]byte("letmein"))
	h := dev(t, filepath.Join(t.TempDir(), "data"), "--internal-token=sha256:"+hex.EncodeToString(token[:]))
	for i := range 5 {
		for _, user := range []string{"bad1", "bad2", "good"} {
			h.ask(t, "PUT", likeOf(fmt.Sprintf("page%d", i)), user)
		}
	}
	h.drained(t)
	pg := "--postgres-url=" + h.pg
	file := filepath.Join(t.TempDir(), "users")
	must(t, os.WriteFile(file, []byte("bad1\n\nbad2\n"), 0o600))

	said := h.runs(t, exitOK, "revoke", pg, "--users-file="+file, "--dry-run")
	if !strings.Contains(said, "2 users like 5 items, 10 likes") || !strings.Contains(said, "2 of 3") {
		t.Errorf("dry run: %s", said)
	}
	h.runs(t, exitUsage, "revoke", pg, "--users-file="+file)
	h.runs(t, exitUsage, "revoke", pg, "--reason=none")
	code, body := h.act(t, "letmein", "/revocations", `{"reason":"a look","users":["bad1"],"dry_run":true}`)
	if code != http.StatusOK || !strings.Contains(body, `"likes": 5`) {
		t.Errorf("a look: %d %s", code, body)
	}
	if code, _ := h.act(t, "", "/revocations", `{"reason":"a look","users":["bad1"]}`); code != http.StatusUnauthorized {
		t.Errorf("without a token: %d", code)
	}

	var r ledger.Revocation
	lastLine(t, h.runs(t, exitOK, "revoke", pg, "--users-file="+file, "--reason=bots", "--by=op"), &r)
	if r.State != ledger.RevocationDone || r.Taken != 10 {
		t.Errorf("revoked: %+v", r)
	}
	h.drained(t)
	h.agree(t, "page0", 1)
	h.ask(t, "PUT", likeOf("page0"), "bad1")
	h.drained(t) // or the undo would find it unliked
	if said := h.runs(t, exitOK, "revoke", "list", pg); !strings.Contains(said, r.ID) || !strings.Contains(said, "bots") {
		t.Errorf("list: %s", said)
	}
	if code, body := h.act(t, "letmein", "/revocations/"+r.ID+"/undo", `{"who":"cy","reason":"no bots"}`); code != http.StatusOK {
		t.Errorf("undo: %d %s", code, body)
	}
	eventually(t, "it is undone", func() bool {
		return strings.Contains(h.runs(t, exitOK, "revoke", "show", pg, r.ID), "undone: 10 of about 10 likes of 2 users taken back, 9 returned, 1 left")
	})
	h.drained(t)
	for i := range 5 {
		h.agree(t, fmt.Sprintf("page%d", i), 3)
	}
	if said := h.runs(t, exitOK, "revoke", "show", pg, r.ID); !strings.Contains(said, "undo by internal token cy, when it was done: no bots") {
		t.Errorf("show: %s", said)
	}
	if found := h.reconcile(t); len(found) > 0 {
		t.Errorf("drift: %+v", found)
	}
}

func TestDeadLettersAndRepairsAreListedAndTheDoctorTellsWhatToDo(t *testing.T) {
	t.Parallel()
	h := dev(t, filepath.Join(t.TempDir(), "data"))
	pg := "--postgres-url=" + h.pg
	_, err := h.pool.Exec(t.Context(), `ALTER TABLE likes ADD CONSTRAINT no_bob CHECK (user_id <> 'bob')`)
	must(t, err)
	h.ask(t, "PUT", likeOf("page"), "bob")
	eventually(t, "there is a dead letter", func() bool {
		return strings.Contains(h.runs(t, exitOK, "dead-letter", "list", pg, "--user=bob"), "no_bob")
	})
	_, err = h.pool.Exec(t.Context(), `ALTER TABLE likes DROP CONSTRAINT no_bob`)
	must(t, err)
	if said := h.runs(t, exitOK, "doctor", "--redis-url="+h.redis, pg); !strings.Contains(said, "plusone dead-letter retry") || !strings.Contains(said, "items.frozen") {
		t.Errorf("doctor: %s", said)
	}
	h.runs(t, exitUsage, "dead-letter", "retry", pg, "--reason= ", "1")
	h.runs(t, exitOK, "dead-letter", "retry", pg, "--reason=the constraint is gone", "1")
	eventually(t, "it is made again", func() bool { return strings.Contains(h.runs(t, exitOK, "dead-letter", "show", pg, "1"), "retried") })
	h.drained(t)
	h.agree(t, "page", 1)
	h.runs(t, exitFailed, "dead-letter", "drop", pg, "--reason=done", "1")

	_, err = h.pool.Exec(t.Context(), `
		INSERT INTO repairs (run, item_id, user_id, side, before, after, cause, repaired) VALUES ('r', 'page', 'bob', 'counter', 'x', 'y', 'a test', true)`)
	must(t, err)
	for _, filter := range []string{"--item=page", "--user=bob", "--since=1h"} {
		if said := h.runs(t, exitOK, "repairs", "list", pg, filter); !strings.Contains(said, "a test") {
			t.Errorf("repairs %s: %s", filter, said)
		}
	}
	if code, body := request(t, "GET", h.inside+"/repairs?item=page"); code != http.StatusOK || !strings.Contains(body, "a test") {
		t.Errorf("/repairs: %d %s", code, body)
	}
	if code, body := request(t, "GET", h.inside+"/dead-letters?state=retried"); code != http.StatusOK || !strings.Contains(body, "no_bob") {
		t.Errorf("/dead-letters: %d %s", code, body)
	}
}
