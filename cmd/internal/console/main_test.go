package console

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"plusone/cmd/internal/doctor"
	"plusone/cmd/internal/settings"
	"plusone/hotpath/counter"
	"plusone/hotpath/like"
	"plusone/reconcile"
	"plusone/scripts/dev/private"
	"plusone/scripts/dev/private/privatetest"
	"plusone/tasks"
	"plusone/tasks/ledger"
)

func TestMain(m *testing.M) { privatetest.Main(m, privatetest.NoLeaks) }

const (
	shards = 4
	secret = "a token for tests"
)

// house is a console over stores of its own.
type house struct {
	t       testing.TB
	console *Console
	url     string
	server  *private.Redis
	rdb     *redis.Client
	pool    *pgxpool.Pool
	ledger  *ledger.Ledger
	counter *counter.Counter
	drainer *tasks.Drainer
	metrics *prometheus.Registry
}

func newHouse(t testing.TB, token string) *house {
	t.Helper()
	h := &house{t: t, server: privatetest.Redis(t), metrics: prometheus.NewRegistry()}
	o, err := redis.ParseURL(h.server.URL())
	must(t, err)
	o.MaxRetries, o.DialerRetries = -1, 1
	h.rdb = redis.NewClient(o)
	t.Cleanup(func() { _ = h.rdb.Close() })
	h.pool, err = pgxpool.New(t.Context(), privatetest.Postgres(t))
	must(t, err)
	t.Cleanup(h.pool.Close)
	must(t, ledger.Migrate(t.Context(), h.pool))
	h.ledger = ledger.New(h.pool)
	layout, err := h.ledger.Layout(t.Context(), shards)
	must(t, err)
	log := counter.NewLog(h.rdb, shards)
	h.drainer = tasks.NewDrainer(log, h.ledger, time.Hour, h.metrics)
	h.counter, err = counter.New(redis.UniversalOptions{Addrs: []string{o.Addr}}, h.ledger, counter.Options{Shards: shards, Metrics: h.metrics})
	must(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = h.counter.Close(ctx)
	})
	var hash Token
	if token != "" {
		sum := sha256.Sum256([]byte(token))
		hash = sum[:]
	}
	h.console = New(Options{
		Token: hash, Secret: layout.Secret, Role: "serve", Metrics: h.metrics,
		Checks: func(context.Context) []Check { return []Check{{"redis", Fine, "appendfsync always"}} },
		Ledger: h.ledger, Log: log, Freezer: &tasks.Freezer{Log: log, Ledger: h.ledger, Wait: time.Second},
		Reconciler: reconcile.New(log, h.ledger, reconcile.Options{}), Errors: slog.New(slog.DiscardHandler),
		Settings: settings.Table{
			{Name: "log-level", Value: "info", Source: settings.FromDefault},
			{Group: "Stores", Name: "redis-url", Value: "redis://***@host", Source: settings.FromVariable, Where: "PLUSONE_REDIS_URL"},
		},
		Examine: func(context.Context) (doctor.Report, error) {
			return doctor.Report{Wrong: 1, Warnings: 1, Findings: []doctor.Finding{
				{Check: "redis.reach", Level: doctor.OK, Found: "it answers"},
				{Check: "redis.fsync", Level: doctor.Warning, Found: "everysec", Fix: "<always>"},
				{Check: "schema", Level: doctor.Wrong, Found: "too old"},
			}}, nil
		},
	})
	web := httptest.NewServer(h.console)
	t.Cleanup(web.Close)
	h.url = web.URL
	return h
}

// like lets users like an item, and the ledger hear of it.
func (h *house) like(item string, users ...string) {
	h.t.Helper()
	ops, results := make([]like.Op, len(users)), make([]like.Result, len(users))
	for i, u := range users {
		ops[i] = like.Op{Item: item, User: u, Want: like.Liked}
	}
	must(h.t, h.counter.Apply(h.t.Context(), ops, results))
	for _, r := range results {
		must(h.t, r.Err)
	}
	must(h.t, h.drainer.Drain(h.t.Context(), counter.ShardOf(item, shards)))
}

func (h *house) exec(sql string, args ...any) {
	h.t.Helper()
	_, err := h.pool.Exec(h.t.Context(), sql, args...)
	must(h.t, err)
}

// answer is what a request got.
type answer struct {
	code   int
	body   string
	header http.Header
	cookie *http.Cookie // that it set
}

// person is somebody with a browser that follows no redirect.
type person struct {
	*house
	cookie *http.Cookie
	csrf   string
}

// send is a request, with a form when there is one.
func (p *person) send(method, path string, form url.Values) answer {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), method, p.url+path, strings.NewReader(form.Encode()))
	must(p.t, err)
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if p.cookie != nil {
		req.AddCookie(p.cookie)
	}
	return p.do(req)
}

func (p *person) do(req *http.Request) answer {
	p.t.Helper()
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	must(p.t, err)
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	must(p.t, err)
	a := answer{code: res.StatusCode, body: string(body), header: res.Header}
	for _, c := range res.Cookies() {
		a.cookie = c
	}
	return a
}

func (p *person) get(path string) answer {
	p.t.Helper()
	return p.send("GET", path, nil)
}

// login is a person who has shown the token.
func (h *house) login() *person {
	h.t.Helper()
	p := &person{house: h}
	a := p.send("POST", "/console/login", url.Values{"token": {secret}, "who": {"ada"}})
	if a.code != 303 || a.cookie == nil {
		h.t.Fatalf("login: %d %s", a.code, a.body)
	}
	p.cookie = a.cookie
	form := regexp.MustCompile(`name="csrf" value="([^"]+)"`).FindStringSubmatch(p.get("/console/hot").body)
	if form == nil {
		h.t.Fatal("no form shows what a session's forms show")
	}
	p.csrf = form[1]
	return p
}

// act sends the form of an act, with more fields in pairs.
func (p *person) act(key, id, reason string, more ...string) answer {
	p.t.Helper()
	form := url.Values{"csrf": {p.csrf}, "act": {key}, "id": {id}, "reason": {reason}}
	for i := 0; i < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	return p.send("POST", "/console/act", form)
}

func names(prefix string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("%s%03d", prefix, i)
	}
	return all
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
