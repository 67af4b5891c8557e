package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/jackc/pgx/v5/pgxpool"

	"plusone/tasks/barrier"
)

const contractKey = "a-server-key-for-the-contract"

var byServer = with("Authorization", "Bearer "+contractKey)

func keySetting(key string) string {
	return fmt.Sprintf("--server-keys=tests=sha256:%x", sha256.Sum256([]byte(key)))
}

// TestTheServerDoesWhatItsDescriptionSays drives every operation of openapi.yaml to
// every status that it has there by itself.
func TestTheServerDoesWhatItsDescriptionSays(t *testing.T) {
	t.Parallel()
	c := newContract(t)
	stores := migrated(t)
	others := newOthers(t)
	serve := start(t, args("serve", stores, ports, []string{
		keySetting(contractKey), "--quota=3/8784h", "--user-rate=1000", "--user-burst=1000", "--max-body=5000",
		"--webhook-window=100ms", "--webhook-allow-private", "--webhook-url=" + others.url + "/itemLikesChanged", "--webhook-secret=" + hookSecret,
		"--participant=points=" + others.url + "/participantAsked", "--participant-secret=" + hookSecret, "--saga-alert-url=" + others.url + "/sagasStuck",
	})...)
	cookie := start(t, args("api", stores, ports, []string{"--auth=cookie", "--max-conns=1", keySetting(contractKey)})...)
	limited := start(t, args("api", stores, ports, []string{"--address-rate=0.001", "--address-burst=1"})...)
	base := serve.find(t, publicURL)

	t.Run("likes", func(t *testing.T) { c.likes(t, base) })
	t.Run("counts", func(t *testing.T) { c.counts(t, base) })
	t.Run("servers", func(t *testing.T) { c.servers(t, base) })
	t.Run("votes", func(t *testing.T) { c.votes(t, base) })
	t.Run("frozen", func(t *testing.T) {
		freeze := start(t, args("item", []string{"freeze"}, stores, []string{"--reason=a test", "frozen"})...)
		if code := freeze.end(t, 0); code != exitOK {
			t.Fatalf("freeze: %d %s", code, freeze.said())
		}
		for _, op := range []string{"like", "toggleLike"} {
			c.ask(t, base, op, 409, at{"item": "frozen"}, asUser("ann"))
		}
		c.ask(t, base, "unlike", 200, at{"item": "frozen"}, asUser("ann"))
	})
	t.Run("refusals", func(t *testing.T) {
		c.refusals(t, base, cookie.find(t, publicURL), limited.find(t, publicURL))
	})
	t.Run("calls of others", func(t *testing.T) { c.others(t, others, stores) })
	c.complete(t)
}

// unwanted is a user whose likes the participant rejects.
const unwanted = "unwanted"

// heard is a call that plusone has made of somebody else, and what that has answered.
type heard struct {
	header, answerHeader http.Header
	body, answer         string
	status               int
}

// others are those whom plusone calls; each hears what is sent to its path.
type others struct {
	url string
	mu  sync.Mutex
	all map[string][]heard
}

func newOthers(t *testing.T) *others {
	t.Helper()
	o := &others{all: map[string][]heard{}}
	v, err := barrier.NewVerifier(hookSecret)
	must(t, err)
	agrees := barrier.Handler(v, 5*time.Second, func(_ context.Context, _ barrier.Step, ops []barrier.Op) (all []barrier.Answer, _ error) {
		for _, op := range ops {
			if op.User == unwanted {
				all = append(all, op.Rejected("no points"))
				continue
			}
			all = append(all, op.Done())
		}
		return all, nil
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // it will be sent again
		}
		said := httptest.NewRecorder()
		if r.URL.Path == "/participantAsked" {
			r.Body = io.NopCloser(bytes.NewReader(body))
			agrees.ServeHTTP(said, r)
		} else {
			said.WriteHeader(http.StatusNoContent)
		}
		w.Header().Set("Content-Type", said.Header().Get("Content-Type"))
		w.WriteHeader(said.Code)
		_, _ = w.Write(said.Body.Bytes())
		o.mu.Lock()
		defer o.mu.Unlock()
		o.all[r.URL.Path[1:]] = append(o.all[r.URL.Path[1:]], heard{r.Header, said.Header(), string(body), said.Body.String(), said.Code})
	}))
	t.Cleanup(server.Close)
	o.url = server.URL
	return o
}

func (o *others) heard(operation string) []heard {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.all[operation]
}

// others wants each of those to be called, and calls and answers to be as described.
func (c *contract) others(t *testing.T, o *others, stores []string) {
	pool, err := pgxpool.New(t.Context(), stores[len(stores)-1])
	must(t, err)
	defer pool.Close()
	_, err = pool.Exec(t.Context(), `INSERT INTO sagas (id, shard, version, item_id, user_id, liked, participants, state, step, last_error)
	                                 VALUES ('sag_stuck', 0, 1, 'page', 'ann', true, '{points}', 'stuck', 1, 'it answered 500')`)
	must(t, err)
	for operation := range c.calls {
		eventually(t, "somebody is called by "+operation, func() bool { return len(o.heard(operation)) > 0 })
		for _, h := range o.heard(operation) {
			c.called(t, operation, h)
		}
	}
}

func (c *contract) likes(t *testing.T, base string) {
	page := at{"item": "blog/page"}
	like := c.ask(t, base, "like", 200, page, asUser("ann"))
	c.ask(t, base, "like", 200, page, asUser("ann"))
	c.ask(t, base, "like", 200, page, byServer, asUser("bob"))
	c.ask(t, base, "unlike", 200, page, asUser("ann"))
	c.ask(t, base, "toggleLike", 200, page, asUser("ann"))
	c.ask(t, base, "unlike", 200, page, asUser("cy"))
	for _, op := range []string{"like", "unlike", "toggleLike"} {
		c.ask(t, base, op, 401, page)
		c.ask(t, base, op, 400, at{"item": "a b"}, asUser("ann"))
	}
	for n := range 3 {
		c.ask(t, base, "like", 200, at{"item": fmt.Sprint("p", n)}, asUser("greedy"))
	}
	for _, op := range []string{"like", "toggleLike"} {
		s := c.ask(t, base, op, 429, at{"item": "p3"}, asUser("greedy"))
		if s.json["code"] != "quota_exceeded" {
			t.Errorf("%s", s.text)
		}
	}
	receipt := like.json["receipt"].(string)
	for _, user := range []string{"ann", "bob"} {
		c.ask(t, base, "readReceipt", 200, at{"receipt": receipt}, asUser(user))
	}
	bad := c.ask(t, base, "like", 200, page, asUser(unwanted)).json["receipt"].(string)
	eventually(t, "a like is taken back", func() bool {
		s := c.ask(t, base, "readReceipt", 200, at{"receipt": bad}, asUser(unwanted))
		return s.json["state"] == "compensated" && s.json["by"] == "points" && s.json["reason"] == "no points"
	})
	c.ask(t, base, "readReceipt", 404, at{"receipt": "0-5000000000000-0"})
	c.ask(t, base, "readReceipt", 400, at{"receipt": "nonsense"})
	eventually(t, "the likes are listed", func() bool {
		s := c.ask(t, base, "listLikes", 200, at{"user": "greedy"}, asUser("greedy"), query("limit=2"))
		return len(s.json["likes"].([]any)) == 2 && s.json["next_cursor"] != nil
	})
	c.ask(t, base, "listLikes", 200, at{"user": "nobody"}, byServer)
	c.ask(t, base, "listLikes", 403, at{"user": "ann"}, asUser("bob"))
	c.ask(t, base, "listLikes", 401, at{"user": "ann"})
	c.ask(t, base, "listLikes", 400, at{"user": "ann"}, asUser("ann"), query("limit=0"))
}

func (c *contract) counts(t *testing.T, base string) {
	for op, q := range map[string]string{"readItem": "", "readItems": "id=p0&id=p1&id=never", "listLikers": "limit=5"} {
		item := at{"item": "p0"}
		s := c.ask(t, base, op, 200, item, query(q))
		c.ask(t, base, op, 200, item, query(q), asUser("greedy"))
		if op != "listLikers" { // which fills while the worker is at it
			c.ask(t, base, op, 304, item, query(q), with("If-None-Match", s.header.Get("ETag")))
		}
	}
	c.ask(t, base, "listLikers", 304, at{"item": "p0"}, with("If-None-Match", "*"))
	c.ask(t, base, "readItem", 400, at{"item": "a<b"})
	c.ask(t, base, "readItems", 400, nil)
	c.ask(t, base, "readItems", 400, nil, query("id="+strings.Repeat("a", 201)))
	c.ask(t, base, "listLikers", 400, at{"item": "p0"}, query("cursor=forged"))
	s := c.ask(t, base, "streamCounts", 200, nil, query("id=p0"), with("Last-Event-ID", "1"))
	_, data, _ := strings.Cut(s.text, "\ndata: ")
	var reading any
	must(t, json.Unmarshal([]byte(data), &reading))
	must(t, c.doc.Components.Schemas["Reading"].Value.VisitJSON(reading, openapi3.EnableJSONSchema2020()))
	c.ask(t, base, "streamCounts", 400, nil)
	for _, op := range []string{"readDescription", "readDocs", "readLikeButton"} {
		s := c.ask(t, base, op, 200, nil)
		c.ask(t, base, op, 304, nil, with("If-None-Match", s.header.Get("ETag")))
	}
}

func (c *contract) servers(t *testing.T, base string) {
	ops := sending(`{"ops":[{"item":"p0","user":"bob","liked":true},{"item":"p3","user":"greedy","liked":true}]}`)
	s := c.ask(t, base, "postLikes", 200, nil, byServer, ops)
	if !strings.Contains(s.text, `"code":"quota_exceeded"`) {
		t.Errorf("%s", s.text)
	}
	c.ask(t, base, "postLikes", 401, nil, ops)
	c.ask(t, base, "postLikes", 403, nil, ops, asUser("ann"))
	bad := c.ask(t, base, "postLikes", 400, nil, byServer, sending(`{"ops":[{"item":"a","user":"u","liked":true},{"item":"","user":"u","liked":true}]}`))
	if bad.json["op"] != 1.0 {
		t.Errorf("%s", bad.text)
	}
	c.ask(t, base, "postLikes", 415, nil, byServer, ops, with("Content-Type", "text/plain"))
	c.ask(t, base, "postLikes", 413, nil, byServer, sending(`{"ops":[`+strings.Repeat(" ", 5000)+`]}`))
	eventually(t, "there are notifications", func() bool {
		s := c.ask(t, base, "listNotifications", 200, nil, byServer, query("limit=3&after=0"))
		return len(s.json["notifications"].([]any)) > 0
	})
	c.ask(t, base, "listNotifications", 400, nil, byServer, query("after=x"))
	c.ask(t, base, "listNotifications", 401, nil)
	c.ask(t, base, "listNotifications", 403, nil, asUser("ann"))
}

func (c *contract) votes(t *testing.T, base string) {
	item, vote := at{"item": "paid"}, at{"item": "paid", "ref": "pay-1"}
	c.ask(t, base, "countVote", 200, item, byServer, sending(`{"ref":"pay-1","weight":5}`))
	c.ask(t, base, "countVote", 409, item, byServer, sending(`{"ref":"pay-1","weight":6}`))
	c.ask(t, base, "countVote", 415, item, byServer, sending(`{"ref":"pay-1","weight":5}`), with("Content-Type", "text/plain"))
	c.ask(t, base, "countVote", 400, item, byServer, sending(`{"ref":"pay-2","weight":0}`))
	c.ask(t, base, "readVote", 200, vote, byServer)
	c.ask(t, base, "readVote", 404, at{"item": "paid", "ref": "other"}, byServer)
	c.ask(t, base, "refundVote", 200, vote, byServer)
	c.ask(t, base, "refundVote", 200, at{"item": "paid", "ref": "early"}, byServer)
	c.ask(t, base, "readVote", 200, at{"item": "paid", "ref": "early"}, byServer)
	for op, more := range map[string]func(*http.Request){"countVote": sending(`{"ref":"pay-1","weight":5}`), "readVote": query(""), "refundVote": query("")} {
		c.ask(t, base, op, 401, vote, more)
		c.ask(t, base, op, 403, vote, more, asUser("ann"))
	}
}

// refusals asks every operation what a server refuses before it knows what it is about.
func (c *contract) refusals(t *testing.T, base, cookie, limited string) {
	params := at{"item": "p0", "user": "ann", "ref": "pay-1", "receipt": "0-1-0"}
	for op, route := range c.operations {
		if route.Operation.Security != nil {
			c.ask(t, base, op, 401, params, wellFormed(op), with("Authorization", "Bearer nonsense"))
			c.ask(t, base, op, 400, params, wellFormed(op), asUser("visitor:somebody"))
			c.ask(t, cookie, op, 403, params, wellFormed(op), asUser("ann"))
		}
	}
	// One connection to this server is open now, and that is all it takes.
	kept := c.client
	c.client = newClient(t)
	c.client.Transport.(*http.Transport).DisableKeepAlives = true
	for op, route := range c.operations {
		if route.Operation.Responses.Status(503) != nil {
			c.ask(t, cookie, op, 503, params, wellFormed(op))
		}
	}
	c.client = kept
	door{t, limited}.ask("GET", "/nowhere", "", "") // all that this address may
	for op := range c.operations {
		c.ask(t, limited, op, 429, params, wellFormed(op))
	}
}

// wellFormed makes a request what its operation wants.
func wellFormed(operation string) func(*http.Request) {
	return func(r *http.Request) {
		r.URL.RawQuery = "id=p0"
		switch operation {
		case "postLikes":
			sending(`{"ops":[{"item":"p0","user":"bob","liked":true}]}`)(r)
		case "countVote":
			sending(`{"ref":"pay-1","weight":5}`)(r)
		}
	}
}
