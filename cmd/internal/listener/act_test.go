package listener_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"plusone/cmd/internal/listener"
	"plusone/tasks/ledger"
)

// Under names that none of their methods has.
type (
	ofSagas       = listener.Sagas
	ofRevocations = listener.Revocations
)

// onlooker is a ledger that can be looked at; what would change it is nil.
type onlooker struct {
	ofSagas
	listener.Items
	listener.Letters
	ofRevocations
}

func (onlooker) LookAtRevocation(context.Context, []string, []string) (ledger.RevocationLook, error) {
	return ledger.RevocationLook{Likes: 7}, nil
}

func TestNothingIsDoneWithoutAReasonNorInADryRun(t *testing.T) {
	o := onlooker{}
	addr, _ := serveAs(t, listener.Options{Token: token(), Sagas: o, Items: o, Letters: o, Revocations: o})
	post := func(path, body string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+addr+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+secret)
		res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
		if err != nil {
			t.Fatalf("%s with %s is not answered: %v", path, body, err)
		}
		defer func() { _ = res.Body.Close() }()
		text, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(text)
	}
	for _, path := range []string{
		"/sagas/retry", "/sagas/sag_1/retry", "/sagas/sag_1/compensate", "/sagas/sag_1/complete",
		"/items/a/freeze", "/items/a/unfreeze", "/dead-letters/1/retry", "/dead-letters/1/drop",
		"/revocations", "/revocations/rev_1/undo",
	} {
		for _, body := range []string{``, `{}`, `{"who":"op","users":["ann"]}`, `{"who":"op","reason":" \t","users":["ann"]}`} {
			if code, said := post(path, body); code != http.StatusBadRequest || !strings.Contains(said, "tell why") {
				t.Errorf("%s with %s: %d %s", path, body, code, said)
			}
		}
	}
	code, said := post("/revocations", `{"reason":"a look","users":["ann"],"dry_run":true}`)
	if code != http.StatusOK || !strings.Contains(said, `"likes": 7`) {
		t.Errorf("a dry run: %d %s", code, said)
	}
}
