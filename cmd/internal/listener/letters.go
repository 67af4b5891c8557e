package listener

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"plusone/hotpath/like"
	"plusone/tasks/ledger"
)

// Letters is where dead letters and repairs are kept, as ledger.Ledger does it.
type Letters interface {
	DeadLetters(ctx context.Context, f ledger.LetterFilter) ([]ledger.DeadLetter, error)
	DeadLetter(ctx context.Context, id int64) (ledger.DeadLetter, error)
	ActOnLetter(ctx context.Context, id int64, act string, by ledger.By) error
	Repairs(ctx context.Context, f ledger.RepairFilter) ([]ledger.RepairView, error)
}

// addLetters adds
//
//	GET  /dead-letters?state=&item=&user=&after=&limit=
//	GET  /dead-letters/{id}
//	POST /dead-letters/{id}/retry|drop           {"who","reason"}
//	GET  /repairs?item=&user=&since=24h&before=&limit=
func addLetters(mux *http.ServeMux, s Letters) {
	if s == nil {
		return
	}
	mux.HandleFunc("GET /dead-letters", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		found, err := s.DeadLetters(r.Context(), ledger.LetterFilter{
			State: q.Get("state"), Item: q.Get("item"), User: q.Get("user"), After: number(q.Get("after")), Limit: limitOf(q),
		})
		answer(w, map[string]any{"dead_letters": found}, err)
	})
	mux.HandleFunc("GET /dead-letters/{id}", func(w http.ResponseWriter, r *http.Request) {
		d, err := s.DeadLetter(r.Context(), number(r.PathValue("id")))
		answer(w, d, err)
	})
	mux.HandleFunc("POST /dead-letters/{id}/{act}", func(w http.ResponseWriter, r *http.Request) {
		act := r.PathValue("act")
		if act != ledger.ActRetry && act != ledger.ActDrop {
			http.NotFound(w, r)
			return
		}
		if by, ok := actor(w, r, nil); ok {
			answer(w, done(1), s.ActOnLetter(r.Context(), number(r.PathValue("id")), act, by))
		}
	})
	mux.HandleFunc("GET /repairs", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		f := ledger.RepairFilter{Item: q.Get("item"), User: q.Get("user"), Before: number(q.Get("before")), Limit: limitOf(q)}
		if d, err := time.ParseDuration(q.Get("since")); err == nil {
			f.Since = time.Now().Add(-d)
		}
		found, err := s.Repairs(r.Context(), f)
		answer(w, map[string]any{"repairs": found}, err)
	})
}

// number reads an id; what is none is 0, which nothing has.
func number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// Revocations is where revocations are kept, as ledger.Ledger does it.
type Revocations interface {
	LookAtRevocation(ctx context.Context, users, items []string) (ledger.RevocationLook, error)
	Revoke(ctx context.Context, users, items []string, by ledger.By) (string, error)
	UndoRevocation(ctx context.Context, id string, by ledger.By) error
	Revocations(ctx context.Context, before string, limit int) ([]ledger.Revocation, error)
	Revocation(ctx context.Context, id string) (ledger.Revocation, error)
}

// addRevocations adds
//
//	GET  /revocations?before=&limit=
//	GET  /revocations/{id}
//	POST /revocations                            {"who","reason","users","items","dry_run"}
//	POST /revocations/{id}/undo                  {"who","reason"}
func addRevocations(mux *http.ServeMux, s Revocations) {
	if s == nil {
		return
	}
	mux.HandleFunc("GET /revocations", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		found, err := s.Revocations(r.Context(), q.Get("before"), limitOf(q))
		answer(w, map[string]any{"revocations": found}, err)
	})
	mux.HandleFunc("GET /revocations/{id}", func(w http.ResponseWriter, r *http.Request) {
		found, err := s.Revocation(r.Context(), r.PathValue("id"))
		answer(w, found, err)
	})
	mux.HandleFunc("POST /revocations", func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			Users, Items []string
			DryRun       bool `json:"dry_run"`
		}
		by, ok := actor(w, r, &body)
		if !ok {
			return
		}
		if err := checkAll(body.Users, body.Items); err != nil {
			answer(w, nil, err)
			return
		}
		if body.DryRun {
			look, err := s.LookAtRevocation(r.Context(), body.Users, body.Items)
			answer(w, look, err)
			return
		}
		id, err := s.Revoke(r.Context(), body.Users, body.Items, by)
		answer(w, map[string]string{"revocation": id}, err)
	})
	mux.HandleFunc("POST /revocations/{id}/undo", func(w http.ResponseWriter, r *http.Request) {
		if by, ok := actor(w, r, nil); ok {
			answer(w, done(1), s.UndoRevocation(r.Context(), r.PathValue("id"), by))
		}
	})
}

// checkAll refuses what are no ids, and no users at all.
func checkAll(users, items []string) error {
	if len(users) == 0 {
		return like.CheckUser("")
	}
	for _, u := range users {
		if err := like.CheckUser(u); err != nil {
			return err
		}
	}
	for _, i := range items {
		if err := like.CheckItem(i); err != nil {
			return err
		}
	}
	return nil
}
