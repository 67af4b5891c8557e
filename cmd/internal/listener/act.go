package listener

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"plusone/hotpath/like"
	"plusone/tasks"
	"plusone/tasks/ledger"
)

// maxAct bounds what tells who acts and why, and on what: room for 10,000 users.
const maxAct = 2 << 20

// actor reads who acts, behind the token, and why; what else the act needs goes to
// more, unless that is nil.
func actor(w http.ResponseWriter, r *http.Request, more any) (by ledger.By, ok bool) {
	var body struct{ Who, Reason string }
	var text json.RawMessage
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxAct)).Decode(&text)
	if err == nil {
		err = json.Unmarshal(text, &body)
	}
	if err == nil && more != nil {
		err = json.Unmarshal(text, more)
	}
	if err != nil || strings.TrimSpace(body.Reason) == "" {
		http.Error(w, `tell why: {"who":"…","reason":"…"}`, http.StatusBadRequest)
		return by, false
	}
	return ledger.By{Who: strings.TrimSpace("internal token " + body.Who), Reason: body.Reason}, true
}

// done answers an act.
func done(n int) map[string]int { return map[string]int{"done": n} }

// limitOf is how many of a list are asked for.
func limitOf(q url.Values) int {
	if n, err := strconv.Atoi(q.Get("limit")); err == nil && n > 0 {
		return min(n, 1000)
	}
	return 50
}

func answer(w http.ResponseWriter, document any, err error) {
	switch {
	case errors.Is(err, like.ErrNotFound):
		http.Error(w, "there is no such thing", http.StatusNotFound)
	case errors.Is(err, like.ErrBadID):
		http.Error(w, err.Error(), http.StatusBadRequest)
	case errors.Is(err, ledger.ErrActRefused):
		http.Error(w, "its state does not allow this", http.StatusConflict)
	case errors.Is(err, tasks.ErrNotYet):
		http.Error(w, tasks.ErrNotYet.Error(), http.StatusServiceUnavailable)
	case err != nil:
		http.Error(w, "the ledger does not answer", http.StatusServiceUnavailable)
	default:
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		_ = enc.Encode(document) // a client that has gone
	}
}
