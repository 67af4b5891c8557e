package listener

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"plusone/hotpath/like"
	"plusone/tasks/ledger"
)

// sagasPath is where sagas are.
const sagasPath = "/sagas/"

// Sagas is where sagas are kept, as ledger.Ledger does it.
type Sagas interface {
	Sagas(ctx context.Context, f ledger.SagaFilter) ([]ledger.SagaRecord, error)
	Saga(ctx context.Context, id string) (ledger.SagaRecord, []ledger.SagaAct, error)
	ActOnSaga(ctx context.Context, id, act, who, why string) error
	RetryHanging(ctx context.Context, who, why string) (int, error)
}

// maxAct bounds what tells who acts and why.
const maxAct = 8 << 10

// addSagas adds
//
//	GET  /sagas?state=&item=&user=&participant=&after=&limit=
//	GET  /sagas/{id}
//	POST /sagas/{id}/retry|compensate|complete   {"who","reason"}
//	POST /sagas/retry                            {"who","reason"}: all that hang
func addSagas(mux *http.ServeMux, s Sagas) {
	if s == nil {
		return
	}
	mux.HandleFunc("GET /sagas", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		f := ledger.SagaFilter{
			State: q.Get("state"), Item: q.Get("item"), User: q.Get("user"), Participant: q.Get("participant"), After: q.Get("after"), Limit: 50,
		}
		if n, err := strconv.Atoi(q.Get("limit")); err == nil && n > 0 {
			f.Limit = min(n, 1000)
		}
		found, err := s.Sagas(r.Context(), f)
		answer(w, map[string]any{"sagas": ledger.ShowSagas(found)}, err)
	})
	mux.HandleFunc("GET /sagas/{id}", func(w http.ResponseWriter, r *http.Request) {
		saga, acts, err := s.Saga(r.Context(), r.PathValue("id"))
		answer(w, ledger.ShowSaga(saga, acts), err)
	})
	mux.HandleFunc("POST /sagas/{id}/{act}", func(w http.ResponseWriter, r *http.Request) {
		act := r.PathValue("act")
		if act != ledger.ActRetry && act != ledger.ActCompensate && act != ledger.ActComplete {
			http.NotFound(w, r)
			return
		}
		if who, why, ok := actor(w, r); ok {
			answer(w, map[string]any{"done": 1}, s.ActOnSaga(r.Context(), r.PathValue("id"), act, who, why))
		}
	})
	mux.HandleFunc("POST /sagas/retry", func(w http.ResponseWriter, r *http.Request) {
		if who, why, ok := actor(w, r); ok {
			n, err := s.RetryHanging(r.Context(), who, why)
			answer(w, map[string]any{"done": n}, err)
		}
	})
}

// actor reads who acts, behind the token, and why.
func actor(w http.ResponseWriter, r *http.Request) (who, why string, ok bool) {
	var body struct{ Who, Reason string }
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxAct)).Decode(&body)
	if err != nil || strings.TrimSpace(body.Reason) == "" {
		http.Error(w, `tell why: {"who":"…","reason":"…"}`, http.StatusBadRequest)
		return "", "", false
	}
	return strings.TrimSpace("internal token " + body.Who), body.Reason, true
}

func answer(w http.ResponseWriter, document any, err error) {
	switch {
	case errors.Is(err, like.ErrNotFound):
		http.Error(w, "there is no such saga", http.StatusNotFound)
	case errors.Is(err, ledger.ErrActRefused):
		http.Error(w, "the saga's state does not allow this", http.StatusConflict)
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
