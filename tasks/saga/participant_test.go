package saga_test

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"plusone/hotpath/counter"
)

// participant is a service with books of its own: who likes what, as far as it
// agreed. It keeps a barrier as participants must.
type participant struct {
	*httptest.Server
	name string
	t    testing.TB

	mu    sync.Mutex
	mood  mood
	calls int
	held  map[counter.Pair]bool
	steps map[string]*step // by saga

	delayed []call // that the network has still to bring
}

// step is what a participant remembers of a saga.
type step struct {
	result      string // of the try; "" when there was none
	compensated bool
	before      bool // what it held
}

// mood is how a participant answers.
type mood struct {
	reject  func(counter.Pair) bool // refuses a try
	before  int                     // status instead of doing anything
	after   int                     // status instead of the answer, when all is done
	silent  bool                    // does all and does not answer in time
	late    bool                    // answers 504, and the call arrives some time after
	twice   bool                    // does everything twice
	retry   bool                    // answers retry
	forgets bool                    // leaves half of the results out
}

func newParticipant(t testing.TB, name string) *participant {
	p := &participant{name: name, t: t, held: map[counter.Pair]bool{}, steps: map[string]*step{}}
	verify, err := webhooks.NewWebhook(secret)
	check(t, err)
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = verify.Verify(body, r.Header)
		}
		if err != nil {
			t.Errorf("a call that is not right: %v", err)
		}
		p.serve(w, r, body)
	}))
	t.Cleanup(p.Close)
	return p
}

type call struct {
	Step string
	Ops  []struct {
		Saga, Key, Item, User, Receipt string
		Liked                          bool
	}
}

type said struct {
	Saga   string `json:"saga"`
	Result string `json:"result"`
	Reason string `json:"reason,omitempty"`
}

func (p *participant) serve(w http.ResponseWriter, r *http.Request, body []byte) {
	var c call
	if err := json.Unmarshal(body, &c); err != nil {
		p.t.Errorf("a call that is no JSON: %v", err)
	}
	p.mu.Lock()
	m := p.mood
	p.calls++
	var answers []said
	switch {
	case m.late:
		p.delayed = append(p.delayed, c)
	case m.before == 0:
		answers = p.do(c)
		if m.twice {
			answers = p.do(c)
		}
	}
	p.mu.Unlock()
	switch {
	case m.late:
		w.WriteHeader(http.StatusGatewayTimeout)
	case m.silent:
		<-r.Context().Done() // until the caller has gone
	case m.before != 0:
		w.WriteHeader(m.before)
	case m.after != 0:
		w.WriteHeader(m.after)
	default:
		if m.forgets {
			answers = answers[:len(answers)/2]
		}
		if err := json.NewEncoder(w).Encode(map[string]any{"results": answers}); err != nil {
			p.t.Errorf("answer: %v", err)
		}
	}
}

func (p *participant) do(c call) (answers []said) {
	for _, o := range c.Ops {
		if o.Key != o.Saga+":"+p.name+":"+c.Step {
			p.t.Errorf("key %s of a %s", o.Key, c.Step)
		}
		s := p.steps[o.Saga]
		if s == nil {
			s = &step{}
			p.steps[o.Saga] = s
		}
		answers = append(answers, p.one(c.Step, s, o.Saga, counter.Pair{Item: o.Item, User: o.User}, o.Liked))
	}
	return answers
}

func (p *participant) one(what string, s *step, id string, pair counter.Pair, liked bool) said {
	switch {
	case p.mood.retry:
		return said{Saga: id, Result: "retry", Reason: "not now"}
	case what == "compensate":
		if s.result == "done" && !s.compensated {
			p.held[pair] = s.before
		}
		s.compensated = true
		return said{Saga: id, Result: "done"}
	case s.compensated:
		return said{Saga: id, Result: "rejected", Reason: "compensated before"}
	case s.result == "" && p.mood.reject != nil && p.mood.reject(pair):
		s.result = "rejected"
	case s.result == "":
		if p.held[pair] == liked {
			p.t.Errorf("%s holds %v already: %v", p.name, pair, liked)
		}
		s.result, s.before = "done", p.held[pair]
		p.held[pair] = liked
	}
	return said{Saga: id, Result: s.result, Reason: "because"}
}

// arrive brings calls that were delayed; nobody waits for their answers.
func (p *participant) arrive() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.delayed {
		p.do(c)
	}
	p.delayed = nil
}

func (p *participant) set(m mood) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mood = m
}

func (p *participant) called() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls
}

func (p *participant) likers(item string) (users []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for pair := range maps.Keys(p.held) {
		if pair.Item == item && p.held[pair] {
			users = append(users, pair.User)
		}
	}
	slices.Sort(users)
	return users
}

func rejectAll(counter.Pair) bool { return true }
