package listener

import (
	"context"
	"net/http"

	"plusone/hotpath/like"
	"plusone/tasks/ledger"
)

// Items freezes items, as tasks.Freezer does it, and lists them, as ledger.Ledger does.
type Items interface {
	Freeze(ctx context.Context, items []string, frozen bool, by ledger.By) error
	FrozenItems(ctx context.Context, after string, limit int) ([]ledger.FrozenItem, error)
	FrozenItem(ctx context.Context, item string) (ledger.FrozenItem, []ledger.Act, error)
}

// addItems adds
//
//	GET  /items?after=&limit=                    those that are frozen
//	GET  /items/{item}
//	POST /items/{item}/freeze|unfreeze           {"who","reason"}
func addItems(mux *http.ServeMux, s Items) {
	if s == nil {
		return
	}
	mux.HandleFunc("GET /items", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		found, err := s.FrozenItems(r.Context(), q.Get("after"), limitOf(q))
		answer(w, map[string]any{"items": found}, err)
	})
	mux.HandleFunc("GET /items/{item}", func(w http.ResponseWriter, r *http.Request) {
		f, acts, err := s.FrozenItem(r.Context(), r.PathValue("item"))
		answer(w, ledger.ShowItem(f, acts), err)
	})
	mux.HandleFunc("POST /items/{item}/{act}", func(w http.ResponseWriter, r *http.Request) {
		act, item := r.PathValue("act"), r.PathValue("item")
		if act != ledger.ActFreeze && act != ledger.ActUnfreeze {
			http.NotFound(w, r)
			return
		}
		by, ok := actor(w, r, nil)
		if !ok {
			return
		}
		err := like.CheckItem(item)
		if err == nil {
			err = s.Freeze(r.Context(), []string{item}, act == ledger.ActFreeze, by)
		}
		answer(w, done(1), err)
	})
}
