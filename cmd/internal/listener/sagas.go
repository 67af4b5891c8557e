package listener

import (
	"context"
	"net/http"

	"plusone/tasks/ledger"
)

// Sagas is where sagas are kept, as ledger.Ledger does it.
type Sagas interface {
	Sagas(ctx context.Context, f ledger.SagaFilter) ([]ledger.SagaRecord, error)
	Saga(ctx context.Context, id string) (ledger.SagaRecord, []ledger.Act, error)
	ActOnSaga(ctx context.Context, id, act string, by ledger.By) error
	RetryHanging(ctx context.Context, by ledger.By) (int, error)
}

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
		found, err := s.Sagas(r.Context(), ledger.SagaFilter{
			State: q.Get("state"), Item: q.Get("item"), User: q.Get("user"), Participant: q.Get("participant"), After: q.Get("after"), Limit: limitOf(q),
		})
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
		if by, ok := actor(w, r, nil); ok {
			answer(w, done(1), s.ActOnSaga(r.Context(), r.PathValue("id"), act, by))
		}
	})
	mux.HandleFunc("POST /sagas/retry", func(w http.ResponseWriter, r *http.Request) {
		if by, ok := actor(w, r, nil); ok {
			n, err := s.RetryHanging(r.Context(), by)
			answer(w, done(n), err)
		}
	})
}
