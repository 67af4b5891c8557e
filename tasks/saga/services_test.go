package saga_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"plusone/hotpath/like"
	"plusone/scripts/dev/private/privatetest"
	"plusone/tasks/barrier"
	"plusone/tasks/barrier/example"
)

// lossy does every other call twice and loses both answers.
func lossy(next http.Handler) http.Handler {
	var calls atomic.Int64
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		again := func() *http.Request {
			r.Body = io.NopCloser(bytes.NewReader(body))
			return r
		}
		if calls.Add(1)%2 == 1 {
			next.ServeHTTP(httptest.NewRecorder(), again())
			next.ServeHTTP(httptest.NewRecorder(), again())
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		next.ServeHTTP(w, again())
	})
}

// TestServicesWithABarrierKeepTheSameBooks: the example services, one on Postgres
// and one on Redis, behind a network that loses and repeats. One takes no likes for
// a page, the other none of a user who has enough.
func TestServicesWithABarrierKeepTheSameBooks(t *testing.T) {
	t.Parallel()
	w := newWorks(t, "articles", "points")
	pool, err := pgxpool.New(t.Context(), privatetest.Postgres(t))
	check(t, err)
	t.Cleanup(pool.Close)
	articles, err := example.NewArticles(t.Context(), pool)
	check(t, err)
	_, err = pool.Exec(t.Context(), `INSERT INTO articles (item, closed) VALUES ('closed', true)`)
	check(t, err)
	opt, err := redis.ParseURL(privatetest.Redis(t).URL())
	check(t, err)
	rdb := redis.NewClient(opt)
	t.Cleanup(func() { _ = rdb.Close() })
	points := example.NewPoints(rdb)
	verify, err := barrier.NewVerifier(secret)
	check(t, err)
	for i, do := range []barrier.Do{articles.Do, points.Do} {
		srv := httptest.NewServer(lossy(barrier.Handler(verify, timeout, do)))
		t.Cleanup(srv.Close)
		w.asked[i].Server = srv
	}
	w.engine = w.newEngine(w.ledger)

	pages := []string{"page-0", "page-1", "page-2", "closed"}
	base := map[string]int64{"rich": 99}
	check(t, w.enrich(points))
	for _, page := range pages {
		for _, u := range append(users(12), "rich") {
			w.want(t, page, u, like.Liked)
		}
	}
	w.settle(t, w.engine)
	w.books(pool, points, base)
	for _, u := range users(6) {
		w.want(t, "page-1", u, like.NotLiked)
	}
	w.settle(t, w.engine)
	w.books(pool, points, base)
	if n := w.number(t, `SELECT sum(count) FROM item_counts`); n != 3*12+1-6 { // rich has got one more point
		t.Errorf("%d likes in all", n)
	}
}

// enrich gives rich all points but one that a user may have.
func (w *works) enrich(points *example.Points) error {
	var ops []barrier.Op
	for i := range 99 {
		ops = append(ops, barrier.Op{Saga: fmt.Sprintf("other_%d", i), Item: "elsewhere", User: "rich", Liked: true})
	}
	_, err := points.Do(w.t.Context(), barrier.Try, ops)
	return err
}

// books fails unless the services count what the ledger counts.
func (w *works) books(pool *pgxpool.Pool, points *example.Points, base map[string]int64) {
	w.t.Helper()
	counted := map[string]int64{}
	w.each(pool, `SELECT item, likes FROM articles WHERE likes > 0`, func(item string, n int64) { counted[item] = n })
	w.each(w.pool, `SELECT item_id, count FROM item_counts`, func(item string, n int64) {
		if counted[item] != n {
			w.t.Errorf("%s: the ledger counts %d, the article service %d; sagas %q", item, n, counted[item], w.sagas(w.t))
		}
		delete(counted, item)
	})
	if len(counted) > 0 {
		w.t.Errorf("the article service alone counts %v", counted)
	}
	w.each(w.pool, `SELECT user_id, count(*) FILTER (WHERE liked) FROM likes GROUP BY 1`, func(user string, n int64) {
		if has, err := points.Of(w.t.Context(), user); err != nil || has != n+base[user] {
			w.t.Errorf("%s: %d likes, %d points: %v", user, n, has, err)
		}
	})
}

// each calls do with the rows of a query: a name and a number.
func (w *works) each(pool *pgxpool.Pool, sql string, do func(string, int64)) {
	w.t.Helper()
	rows, err := pool.Query(w.t.Context(), sql)
	check(w.t, err)
	var name string
	var n int64
	_, err = pgx.ForEachRow(rows, []any{&name, &n}, func() error {
		do(name, n)
		return nil
	})
	check(w.t, err)
}
