package api

import (
	"errors"
	"strings"
	"testing"

	"plusone/hotpath/like"
)

const votes = "/v1/items/a/votes"

func TestAVoteIsAnsweredWithTheSameResultEachTime(t *testing.T) {
	s := start(t, nil)
	const counted = `{"item":"a","ref":"pay/1","weight":5,"state":"counted","count":5,"receipt":"3-1700000000000-1"}`
	for range 2 {
		wantBody(t, s.do(t, "POST", votes, `{"ref":"pay\/1", "weight":5}`, asServer()), counted)
	}
	wantBody(t, s.do(t, "GET", votes+"/pay%2F1", "", asServer()),
		`{"item":"a","ref":"pay/1","weight":5,"state":"counted","receipt":"3-1700000000000-1"}`)
	wantProblem(t, s.do(t, "POST", votes, `{"weight":6,"ref":"pay/1"}`, asServer()), 409, "vote_conflict")
	for range 2 {
		wantBody(t, s.do(t, "DELETE", votes+"/pay%2F1", "", asServer()),
			`{"item":"a","ref":"pay/1","weight":5,"state":"refunded","count":0,"receipt":"3-1700000000000-2"}`)
	}
	wantProblem(t, s.do(t, "GET", votes+"/pay2", "", asServer()), 404, "not_found")
}

func TestVotesThatAreNoneAreRefused(t *testing.T) {
	s := start(t, nil)
	for _, c := range []struct {
		method, target, body, who string
		status                    int
		code                      string
	}{
		{"POST", votes, `{"ref":"r","weight":1}`, "", 401, "no_identity"},
		{"POST", votes, `{"ref":"r","weight":1}`, as("u"), 403, "forbidden"},
		{"GET", votes + "/r", "", as("u"), 403, "forbidden"},
		{"DELETE", votes + "/r", "", as("u"), 403, "forbidden"},
		{"POST", votes, `{"ref":"r","weight":0}`, asServer(), 400, "bad_json"},
		{"POST", votes, `{"ref":"r","weight":-1}`, asServer(), 400, "bad_json"},
		{"POST", votes, `{"ref":"r","weight":01}`, asServer(), 400, "bad_json"},
		{"POST", votes, `{"ref":"r","weight":1.5}`, asServer(), 400, "bad_json"},
		{"POST", votes, `{"ref":"r","weight":1e3}`, asServer(), 400, "bad_json"},
		{"POST", votes, `{"ref":"r","weight":1000000001}`, asServer(), 400, "bad_json"},
		{"POST", votes, `{"ref":"r","weight":99999999999999999999}`, asServer(), 400, "bad_json"},
		{"POST", votes, `{"ref":"r","weight":"1"}`, asServer(), 400, "bad_json"},
		{"POST", votes, `{"ref":"r","weight":`, asServer(), 400, "bad_json"},
		{"POST", votes, `{"ref":"r","ref":"s","weight":1}`, asServer(), 400, "bad_json"},
		{"POST", votes, `{"ref":"r"}`, asServer(), 400, "bad_json"},
		{"POST", votes, `{"ref":"r","weight":1,"x":1}`, asServer(), 400, "bad_json"},
		{"POST", votes, `{"ref":"r","weight":1}1`, asServer(), 400, "bad_json"},
		{"POST", votes, `{"ref":"a b","weight":1}`, asServer(), 400, "bad_id"},
		{"POST", votes, `{"ref":"","weight":1}`, asServer(), 400, "bad_id"},
		{"POST", "/v1/items/a%20b/votes", `{"ref":"r","weight":1}`, asServer(), 400, "bad_id"},
		{"DELETE", votes + "/" + strings.Repeat("r", 129), "", asServer(), 400, "bad_id"},
		{"DELETE", votes + "/", "", asServer(), 400, "bad_id"},
		{"DELETE", votes + "/%25", "", asServer(), 400, "bad_id"},
		{"DELETE", votes + "/%2", "", asServer(), 400, "bad_path"},
		{"GET", votes + "/r/s", "", asServer(), 404, "no_route"},
		{"PUT", votes + "/r", "", asServer(), 405, "method_not_allowed"},
		{"GET", votes, "", asServer(), 405, "method_not_allowed"},
	} {
		headers := []string{}
		if c.who != "" {
			headers = append(headers, c.who)
		}
		wantProblem(t, s.do(t, c.method, c.target, c.body, headers...), c.status, c.code)
	}
	if s.store.polled != (like.VoteOp{}) {
		t.Errorf("%+v reached the counter", s.store.polled)
	}
}

func TestAVoteThatFailsSaysWhatThatMeans(t *testing.T) {
	s := start(t, nil)
	for err, want := range map[error]string{
		like.ErrCountLimit: "count_limit", like.ErrUnknown: "outcome_unknown", like.ErrUnavailable: "unavailable", like.ErrBusy: "busy",
	} {
		s.store.mu.Lock()
		s.store.fail = err
		s.store.mu.Unlock()
		status := 503
		if errors.Is(err, like.ErrCountLimit) {
			status = 409
		}
		wantProblem(t, s.do(t, "POST", votes, `{"ref":"r","weight":1}`, asServer()), status, want)
	}
}

func FuzzAVoteHasOneMeaning(f *testing.F) {
	f.Add(`{"ref":"r","weight":1}`)
	f.Add(`{"weight":1000000000,"ref":"\u0061"}`)
	f.Fuzz(func(t *testing.T, body string) {
		ref, weight, err := parseVote([]byte(body))
		if err == nil && (weight < 1 || weight > like.MaxWeight) {
			t.Errorf("%q is %q with %d", body, ref, weight)
		}
	})
}
