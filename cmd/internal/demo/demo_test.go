package demo

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"
	"github.com/valyala/fasthttp"
	"go.uber.org/goleak"

	"plusone/hotpath/counter"
	"plusone/tasks/ledger"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
		// The dialer of all clients keeps addresses in one goroutine for good.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*TCPDialer).tcpAddrsClean"),
		// A client sleeps between two looks at what it may close, then ends.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*Client).mCleaner"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*HostClient).connsCleaner"))
}

// target answers what storms send, and counts it.
type target struct {
	url   string
	asked atomic.Int64
	users sync.Map
}

func newTarget(t *testing.T, status int) *target {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	got := &target{url: "http://" + ln.Addr().String()}
	server := &fasthttp.Server{Handler: func(r *fasthttp.RequestCtx) {
		got.asked.Add(1)
		got.users.Store(string(r.Request.Header.Peek("X-User-ID")), true)
		r.SetStatusCode(status)
	}}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	t.Cleanup(func() {
		if err := server.Shutdown(); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return got
}

// demoOver is a demo of an API that runs, until the test ends.
func demoOver(t *testing.T, api string, longest time.Duration) *Demo {
	t.Helper()
	d, err := New(Options{API: api, Inside: "http://127.0.0.1:9090", ServerKey: "key", Auth: "header", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	d.storm.longest = longest
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		d.view.door.client.CloseIdleConnections()
	})
	return d
}

func ask(d *Demo, method, path string, headers ...string) (*fasthttp.RequestCtx, bool) {
	r := &fasthttp.RequestCtx{}
	r.Request.Header.SetMethod(method)
	r.Request.SetRequestURI(path)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Request.Header.Set(name, value)
	}
	return r, d.Answer(r)
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for until := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

func TestAStormEndsByItself(t *testing.T) {
	api := newTarget(t, 200)
	d := demoOver(t, api.url, 300*time.Millisecond)
	if api.asked.Load() != 0 {
		t.Error("it began before somebody asked")
	}
	if r, ok := ask(d, "POST", "/demo/storm", "X-Demo-Storm: on"); !ok || r.Response.StatusCode() != 204 {
		t.Fatalf("%d", r.Response.StatusCode())
	}
	eventually(t, "users have liked", func() bool { return d.storm.state().Sent > 0 }) // it may be over before anybody sees it on
	eventually(t, "the storm is over", func() bool { return !d.storm.state().On })
	s := d.storm.state()
	if s.Sent == 0 || s.Sent != api.asked.Load() || s.Refused != 0 {
		t.Errorf("%+v, the API was asked %d times", s, api.asked.Load())
	}
	if most := int64(stormRate*3/10 + 2*stormUsersAtOnce); s.Sent > most {
		t.Errorf("%d in 300 ms are more than %d", s.Sent, most)
	}
}

func TestAStormIsEndedByItsSwitch(t *testing.T) {
	api := newTarget(t, 503)
	d := demoOver(t, api.url, time.Minute)
	ask(d, "POST", "/demo/storm", "X-Demo-Storm: on")
	eventually(t, "users like", func() bool { return api.asked.Load() > 50 })
	ask(d, "POST", "/demo/storm", "X-Demo-Storm: on") // while it rages
	ask(d, "POST", "/demo/storm", "X-Demo-Storm: off")
	eventually(t, "the storm is over", func() bool { return !d.storm.state().On })
	if s := d.storm.state(); s.Refused != s.Sent {
		t.Errorf("%+v", s)
	}
	asked := api.asked.Load()
	if r, _ := ask(d, "GET", "/demo/page.js"); r.Response.StatusCode() != 200 || api.asked.Load() != asked {
		t.Error("somebody likes after the end")
	}
	users := 0
	api.users.Range(func(_, _ any) bool { users++; return true })
	if users < 30 {
		t.Errorf("%d users are no storm", users)
	}
}

func TestAStormThatWasEndedMayBeWantedAgainAtOnce(t *testing.T) {
	api := newTarget(t, 200)
	d := demoOver(t, api.url, time.Minute)
	ends := func() time.Time {
		d.storm.mu.Lock()
		defer d.storm.mu.Unlock()
		return d.storm.ends
	}
	ask(d, "POST", "/demo/storm", "X-Demo-Storm: on")
	eventually(t, "users like", func() bool { return api.asked.Load() > 0 })
	first := ends()
	ask(d, "POST", "/demo/storm", "X-Demo-Storm: off")
	ask(d, "POST", "/demo/storm", "X-Demo-Storm: on") // before all of its users have gone
	eventually(t, "another storm", func() bool { return d.storm.state().On && ends().After(first) })
}

func TestAPageOfAnotherSiteStartsNoStorm(t *testing.T) {
	d := demoOver(t, "http://127.0.0.1:1", time.Second)
	for _, headers := range [][]string{nil, {"X-Demo-Storm: maybe"}, {"Content-Type: text/plain"}} {
		if r, ok := ask(d, "POST", "/demo/storm", headers...); !ok || r.Response.StatusCode() != 403 {
			t.Errorf("%v: %d", headers, r.Response.StatusCode())
		}
	}
	if len(d.storm.starts) != 0 || d.storm.state().On {
		t.Error("a storm")
	}
}

func TestWhatDoesNotAnswerIsNamedAndManyPagesLookOnce(t *testing.T) {
	api := newTarget(t, 503)
	d := demoOver(t, api.url, time.Minute)
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1, DialerRetries: 1})
	defer rdb.Close()
	pool, err := pgxpool.New(t.Context(), "postgres://nobody@127.0.0.1:1/none?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	d.view.logs, d.view.ledger = counter.NewLog(rdb, 4), ledger.New(pool)
	r, _ := ask(d, "GET", "/demo/state")
	for _, want := range []string{"The API does not tell", "Postgres does not answer", "How far Postgres is behind"} {
		if said := string(r.Response.Body()); !strings.Contains(said, want) {
			t.Errorf("%s lacks %q", said, want)
		}
	}
	d.view.at = time.Now().Add(time.Hour) // however slow this machine is, that was just now
	asked := api.asked.Load()
	for range 5 {
		if r, _ := ask(d, "GET", "/demo/state"); r.Response.StatusCode() != 200 {
			t.Errorf("%d", r.Response.StatusCode())
		}
	}
	if n := api.asked.Load(); asked == 0 || n != asked {
		t.Errorf("the API was asked %d times, then %d", asked, n-asked)
	}
}

func TestTheDemoHasItsPathsAndNoOthers(t *testing.T) {
	d := demoOver(t, "http://127.0.0.1:1", time.Second)
	r, ok := ask(d, "GET", "/")
	if body := string(r.Response.Body()); !ok || strings.Count(body, "<like-button ") != len(posts) || strings.Contains(body, "key") {
		t.Errorf("the page: %s", body)
	}
	for _, p := range [][2]string{{"GET", "/demo/"}, {"GET", "/v1/items/a"}, {"PUT", "/"}, {"GET", "/demo/storm"}} {
		if _, ok := ask(d, p[0], p[1]); ok {
			t.Errorf("%s is answered", p)
		}
	}
}
