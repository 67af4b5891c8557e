package example_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"
	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"plusone/scripts/dev/private/privatetest"
	"plusone/tasks/barrier"
	"plusone/tasks/barrier/example"
)

func TestMain(m *testing.M) { privatetest.Main(m, privatetest.NoLeaks) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="

// world is both services, reached as plusone reaches them.
type world struct {
	*testing.T
	pool        *pgxpool.Pool
	points      *example.Points
	signer      *webhooks.Webhook
	articlesURL string
	pointsURL   string
	sagas       int
	standing    map[pair]bool // what the pairs' last sagas that stand have made them
}

type pair struct{ item, user string }

const rich = "rich" // a user

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, standing: map[pair]bool{}}
	var err error
	w.pool, err = pgxpool.New(t.Context(), privatetest.Postgres(t))
	must(t, err)
	t.Cleanup(w.pool.Close)
	articles, err := example.NewArticles(t.Context(), w.pool)
	must(t, err)
	opt, err := redis.ParseURL(privatetest.Redis(t).URL())
	must(t, err)
	rdb := redis.NewClient(opt)
	t.Cleanup(func() { _ = rdb.Close() })
	w.points = example.NewPoints(rdb)
	w.signer, err = webhooks.NewWebhook(secret)
	must(t, err)
	w.articlesURL, w.pointsURL = w.serve(articles.Do), w.serve(w.points.Do)
	return w
}

func (w *world) serve(do barrier.Do) string {
	v, err := barrier.NewVerifier(secret)
	must(w, err)
	srv := httptest.NewServer(barrier.Handler(v, time.Minute, do))
	w.Cleanup(srv.Close)
	return srv.URL
}

// ask calls once, and returns the answers by saga.
func (w *world) ask(url string, step barrier.Step, ops []barrier.Op) map[string]barrier.Result {
	if len(ops) == 0 {
		return nil
	}
	body, err := json.Marshal(map[string]any{"step": step, "ops": ops})
	must(w, err)
	at := time.Now()
	signature, err := w.signer.Sign("msg", at, body)
	must(w, err)
	req, err := http.NewRequestWithContext(w.Context(), http.MethodPost, url, bytes.NewReader(body))
	must(w, err)
	req.Header.Set("webhook-id", "msg")
	req.Header.Set("webhook-timestamp", strconv.FormatInt(at.Unix(), 10))
	req.Header.Set("webhook-signature", signature)
	res, err := http.DefaultClient.Do(req)
	must(w, err)
	defer func() { _ = res.Body.Close() }()
	var said struct{ Results []barrier.Answer }
	if err := json.NewDecoder(res.Body).Decode(&said); err != nil || res.StatusCode != 200 || len(said.Results) != len(ops) {
		w.Errorf("%s: %d, %d results of %d, %v", step, res.StatusCode, len(said.Results), len(ops), err)
	}
	results := map[string]barrier.Result{}
	for _, a := range said.Results {
		results[a.Saga] = a.Result
	}
	return results
}

// call is one call, however often it is sent.
type call struct {
	url  string
	step barrier.Step
	ops  []barrier.Op
}

// storm sends calls twice each, all at once, with their ops in any order.
func (w *world) storm(calls ...call) {
	var all sync.WaitGroup
	for _, c := range append(calls, calls...) {
		ops := append([]barrier.Op(nil), c.ops...)
		rand.Shuffle(len(ops), func(i, j int) { ops[i], ops[j] = ops[j], ops[i] })
		all.Go(func() { w.ask(c.url, c.step, ops) })
	}
	all.Wait()
}

// likes plays the sagas of ops: articles, then points, and back when one of them
// rejects; and of every fifth both are told to take it back before and while they
// are asked for it. It returns those that stand.
func (w *world) likes(ops []barrier.Op) (stand []barrier.Op) {
	var dropped []barrier.Op
	for i, op := range ops {
		if i%5 == 0 {
			dropped = append(dropped, op)
		}
	}
	back := func(url string, ops []barrier.Op) call { return call{url, barrier.Compensate, ops} }
	w.storm(call{w.articlesURL, barrier.Try, ops}, back(w.articlesURL, dropped), back(w.pointsURL, dropped))
	agreed := w.ask(w.articlesURL, barrier.Try, ops)
	var next, refused []barrier.Op
	for i, op := range ops {
		switch {
		case i%5 == 0 && agreed[op.Saga] != barrier.Rejected:
			w.Errorf("a late step is answered %s", agreed[op.Saga])
		case i%5 == 0, agreed[op.Saga] == barrier.Done:
			next = append(next, op) // also the dropped: their step comes late
		}
	}
	w.storm(call{w.pointsURL, barrier.Try, next})
	given := w.ask(w.pointsURL, barrier.Try, next)
	for _, op := range next {
		if given[op.Saga] == barrier.Done {
			stand = append(stand, op)
		} else {
			refused = append(refused, op)
		}
	}
	w.storm(back(w.pointsURL, refused), back(w.articlesURL, refused))
	return stand
}

func (w *world) op(p pair, liked bool) barrier.Op {
	w.sagas++
	saga := fmt.Sprintf("sag_%d", w.sagas)
	return barrier.Op{Saga: saga, Key: saga + ":x:try", Item: p.item, User: p.user, Liked: liked}
}

// together plays ops in batches that run at once.
func (w *world) together(ops []barrier.Op) {
	var all sync.WaitGroup
	var mu sync.Mutex
	for len(ops) > 0 {
		batch := ops[:min(40, len(ops))]
		ops = ops[len(batch):]
		all.Go(func() {
			stand := w.likes(batch)
			mu.Lock()
			defer mu.Unlock()
			for _, op := range stand {
				w.standing[pair{op.Item, op.User}] = op.Liked
			}
		})
	}
	all.Wait()
}

// TestBothBooksAgreeHoweverCallsRepeatAndRace: at the end each article has the
// likes, and each user the points, of the sagas that stand.
func TestBothBooksAgreeHoweverCallsRepeatAndRace(t *testing.T) {
	w := newWorld(t)
	_, err := w.pool.Exec(t.Context(), `INSERT INTO articles (item, closed) VALUES ('closed', true)`)
	must(t, err)
	var likes, unlikes []barrier.Op
	for i := range 8 {
		for u := range 20 {
			likes = append(likes, w.op(pair{fmt.Sprintf("article-%d", i), fmt.Sprintf("user-%d", u)}, true))
		}
	}
	for u := range 10 {
		likes = append(likes, w.op(pair{"closed", fmt.Sprintf("user-%d", u)}, true))
	}
	// One more point is all that rich can get.
	var given []barrier.Op
	for i := range 99 {
		given = append(given, w.op(pair{fmt.Sprintf("elsewhere-%d", i), rich}, true))
	}
	_, err = w.points.Do(t.Context(), barrier.Try, given)
	must(t, err)
	for i := range 6 {
		likes = append(likes, w.op(pair{fmt.Sprintf("article-%d", i), rich}, true))
	}
	w.together(likes)
	w.agree()
	for p, liked := range w.standing {
		if liked && len(unlikes) < 60 {
			unlikes = append(unlikes, w.op(p, false))
		}
	}
	w.together(unlikes)
	w.agree()
}

// agree fails unless both books are those of the pairs that stand.
func (w *world) agree() {
	w.Helper()
	likes, points := map[string]int64{}, map[string]int64{rich: 99}
	for p, liked := range w.standing {
		if liked {
			likes[p.item]++
			points[p.user]++
		}
	}
	rows, err := w.pool.Query(w.Context(), `
		SELECT item, likes, (SELECT count(*) FROM article_likes l WHERE l.item = a.item AND liked) FROM articles a`)
	must(w, err)
	var item string
	var n, pairs int64
	_, err = pgx.ForEachRow(rows, []any{&item, &n, &pairs}, func() error {
		if n != likes[item] || pairs != n {
			w.Errorf("%s has %d likes and %d pairs, not %d", item, n, pairs, likes[item])
		}
		return nil
	})
	must(w, err)
	for user, want := range points {
		if n, err := w.points.Of(w.Context(), user); err != nil || n != want {
			w.Errorf("%s has %d points, not %d: %v", user, n, want, err)
		}
	}
	if len(points) < 15 || points[rich] > 100 || likes["closed"] > 0 {
		w.Errorf("%v points, %d likes of what is closed", points, likes["closed"])
	}
}

// TestASagaThatChangedNothingTakesNothingBack: whose pair was as it should be
// already leaves it so, whatever becomes of the saga.
func TestASagaThatChangedNothingTakesNothingBack(t *testing.T) {
	w := newWorld(t)
	p := pair{"article", "user"}
	first, second := w.op(p, true), w.op(p, true)
	for _, c := range []call{
		{w.articlesURL, barrier.Try, []barrier.Op{first}},
		{w.articlesURL, barrier.Try, []barrier.Op{second}},
		{w.articlesURL, barrier.Compensate, []barrier.Op{second}},
	} {
		if said := w.ask(c.url, c.step, c.ops); said[c.ops[0].Saga] != barrier.Done {
			t.Errorf("%s: %v", c.step, said)
		}
	}
	var likes int
	must(t, w.pool.QueryRow(t.Context(), `SELECT likes FROM articles`).Scan(&likes))
	if likes != 1 {
		t.Errorf("%d likes", likes)
	}
}
