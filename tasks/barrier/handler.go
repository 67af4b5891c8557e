package barrier

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"
)

// maxBody is in bytes: MaxOps ops of the longest ids, with every byte escaped.
const maxBody = 4 << 20

// Do is what a service does with the ops of a call, each of another saga. It
// answers them in any order; an op without an answer is asked for again, and so
// are all of them after an error.
type Do func(ctx context.Context, step Step, ops []Op) ([]Answer, error)

// call is the body of a request. What it names beyond that is not looked at, so
// that a newer plusone may say more.
type call struct {
	Step Step `json:"step"`
	Ops  []Op `json:"ops"`
}

// Handler serves plusone's calls: POST, signed, as the package's comment says.
//
//	200  {"results":[…]}, one answer per op, in the call's order
//	400  no such call         401  not signed          405  no POST
//	413  the body is too long                          503  do failed; nothing is known
//
// From the first byte of the body to the last of the answer timeout may pass; it
// should be shorter than plusone's own for the call.
func Handler(v *Verifier, timeout time.Duration, do Do) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		until := time.Now().Add(timeout)
		ctx, cancel := context.WithDeadline(r.Context(), until)
		defer cancel()
		limit(w, until)
		c, status, err := read(w, r, v)
		if err != nil {
			http.Error(w, err.Error(), status)
			return
		}
		answers, err := do(ctx, c.Step, c.Ops)
		if err != nil { // its text may tell of the inside; do knows whom to tell
			http.Error(w, "the service failed, ask again", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		// Who does not get the answer asks again.
		_ = json.NewEncoder(w).Encode(map[string][]Answer{"results": arrange(c.Ops, answers)})
	})
}

// limit holds for this request alone: the server sets its own for the next one on
// the connection. A writer that knows no deadlines has no connection either.
func limit(w http.ResponseWriter, until time.Time) {
	c := http.NewResponseController(w)
	_ = c.SetReadDeadline(until)
	_ = c.SetWriteDeadline(until.Add(time.Second)) // to say so when do took too long
}

// read returns a call that is whole, signed and makes sense, or what to answer
// instead.
func read(w http.ResponseWriter, r *http.Request, v *Verifier) (c call, status int, err error) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return c, http.StatusMethodNotAllowed, errors.New("calls are POSTs")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if tooLong := (*http.MaxBytesError)(nil); errors.As(err, &tooLong) {
		return c, http.StatusRequestEntityTooLarge, err
	}
	if err != nil {
		return c, http.StatusBadRequest, errors.New("the body did not come whole")
	}
	if err := v.Verify(r.Header, body, time.Now()); err != nil {
		return c, http.StatusUnauthorized, err
	}
	if c, err = parse(body); err != nil {
		return c, http.StatusBadRequest, err
	}
	return c, http.StatusOK, nil
}

func parse(body []byte) (c call, err error) {
	if !utf8.Valid(body) { // it would be replaced silently
		return c, errors.New("the body is not UTF-8")
	}
	if err := json.Unmarshal(body, &c); err != nil {
		return c, fmt.Errorf("the body is no call: %w", err)
	}
	if c.Step != Try && c.Step != Compensate {
		return c, fmt.Errorf("there is no step %.20q", c.Step)
	}
	if len(c.Ops) == 0 || len(c.Ops) > MaxOps {
		return c, fmt.Errorf("%d ops, not 1 to %d", len(c.Ops), MaxOps)
	}
	sagas := make(map[string]bool, len(c.Ops))
	for i, op := range c.Ops {
		switch {
		case !id(op.Saga) || !id(op.Item) || !id(op.User):
			return c, fmt.Errorf("op %d lacks its saga, item or user, or has one that is no id", i)
		case sagas[op.Saga]:
			return c, fmt.Errorf("op %d is of a saga that was named before", i)
		}
		sagas[op.Saga] = true
	}
	return c, nil
}

// id tells whether s can be stored, and put into a key, by every service.
func id(s string) bool {
	return s != "" && len(s) <= 200 && !strings.ContainsAny(s, "{}\x00")
}

// arrange returns one answer per op, in the order of ops.
func arrange(ops []Op, answers []Answer) []Answer {
	given := make(map[string]Answer, len(answers))
	for _, a := range answers {
		given[a.Saga] = a
	}
	all := make([]Answer, len(ops))
	for i, op := range ops {
		a, ok := given[op.Saga]
		if !ok {
			a = op.Retry("no answer")
		}
		all[i] = a
	}
	return all
}
