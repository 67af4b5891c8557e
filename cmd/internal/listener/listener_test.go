package listener_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"plusone/cmd/internal/console"
	"plusone/cmd/internal/listener"
	"plusone/scripts/dev/private/privatetest"
)

func TestMain(m *testing.M) { privatetest.Main(m, privatetest.NoLeaks) }

// serve runs a listener for this test and returns its address and its Redis.
func serve(t *testing.T, checks ...listener.Check) (addr string, rdb *redis.Client) {
	t.Helper()
	return serveWith(t, nil, checks...)
}

// serveWith serves those who show a token.
func serveWith(t *testing.T, token console.Token, checks ...listener.Check) (addr string, rdb *redis.Client) {
	t.Helper()
	return serveConsole(t, token, nil, checks...)
}

// serveOpen serves everybody who only looks.
func serveOpen(t *testing.T, token console.Token) (addr string, rdb *redis.Client) {
	t.Helper()
	return serveAs(t, listener.Options{Token: token, Open: true})
}

// serveConsole serves pages for people, too.
func serveConsole(t *testing.T, token console.Token, pages *console.Console, checks ...listener.Check) (addr string, rdb *redis.Client) {
	t.Helper()
	return serveAs(t, listener.Options{Token: token, Console: pages, Checks: checks})
}

func serveAs(t *testing.T, options listener.Options) (addr string, rdb *redis.Client) {
	t.Helper()
	o, err := redis.ParseURL(privatetest.Redis(t).URL())
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	options.Listener, options.Registry = l, prometheus.NewPedanticRegistry()
	options.Queues, options.Log = asynq.RedisClientOpt{Addr: o.Addr}, slog.New(slog.DiscardHandler)
	s, err := listener.New(options)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	rdb = redis.NewClient(o)
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
		_ = rdb.Close()
	})
	return l.Addr().String(), rdb
}

func ask(t *testing.T, method, addr, path, host string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+addr+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if host != "" {
		req.Host = host
	}
	tr := &http.Transport{DisableKeepAlives: true}
	res, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

func get(t *testing.T, addr, path string) (int, string) { return ask(t, "GET", addr, path, "") }

func enqueue(t *testing.T, rdb *redis.Client, queue string) {
	t.Helper()
	c := asynq.NewClientFromRedisClient(rdb)
	if _, err := c.Enqueue(asynq.NewTask("drain", []byte("3")), asynq.Queue(queue)); err != nil {
		t.Fatal(err)
	}
}

func TestEveryPageIsThere(t *testing.T) {
	addr, rdb := serve(t)
	enqueue(t, rdb, "drain")
	for path, want := range map[string]string{
		"/":                                     "/readyz",
		"/livez":                                "ok",
		"/metrics":                              "go_goroutines",
		"/tasks/":                               "<html",
		"/tasks/api/queues":                     `"drain"`,
		"/tasks/api/queues/drain/pending_tasks": `"payload":"3"`,
		"/debug/pprof/":                         "goroutine",
	} {
		if code, body := get(t, addr, path); code != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %.200s", path, code, body)
		}
	}
	if code, _ := get(t, addr, "/nothing"); code != 404 {
		t.Errorf("/nothing: %d", code)
	}
}

func TestTheDashboardChangesNothing(t *testing.T) {
	addr, rdb := serve(t)
	enqueue(t, rdb, "drain")
	for _, call := range []string{
		"POST /sagas/retry", "POST /tasks/api/queues/drain:pause", "DELETE /tasks/api/queues/drain/pending_tasks:delete_all", "POST /debug/pprof/symbol",
	} {
		method, path, _ := strings.Cut(call, " ")
		if code, _ := ask(t, method, addr, path, ""); code != http.StatusMethodNotAllowed {
			t.Errorf("%s: %d", call, code)
		}
	}
	if n := rdb.LLen(t.Context(), "asynq:{drain}:pending").Val(); n != 1 {
		t.Errorf("%d pending tasks", n)
	}
}

func TestReadinessNamesWhatIsWrong(t *testing.T) {
	fine := listener.Check{Name: "redis", Run: func(context.Context) (string, error) { return "appendfsync always", nil }}
	degraded := listener.Check{Name: "postgres", Optional: true, Run: func(context.Context) (string, error) {
		return "", errors.New("connection\nrefused")
	}}
	broken := listener.Check{Name: "schema", Run: func(context.Context) (string, error) { return "", errors.New("run: plusone migrate") }}

	addr, _ := serve(t, fine, degraded)
	code, body := get(t, addr, "/readyz")
	if code != 200 || body != "ok       redis: appendfsync always\ndegraded postgres: connection refused\n" {
		t.Errorf("%d %q", code, body)
	}
	addr, _ = serve(t, broken, fine)
	code, body = get(t, addr, "/readyz")
	if code != 503 || !strings.HasPrefix(body, "FAILED   schema: run: plusone migrate\n") {
		t.Errorf("%d %q", code, body)
	}
}

func TestACheckThatHangsIsCutOff(t *testing.T) {
	addr, _ := serve(t, listener.Check{Name: "slow", Run: func(ctx context.Context) (string, error) {
		<-ctx.Done()
		return "", ctx.Err()
	}})
	start := time.Now()
	if code, _ := get(t, addr, "/readyz"); code != 503 || time.Since(start) > 5*time.Second {
		t.Errorf("%d after %v", code, time.Since(start))
	}
}

func TestQueueMetricsSurviveAQueueThatCannotBeRead(t *testing.T) {
	addr, rdb := serve(t)
	enqueue(t, rdb, "drain")
	enqueue(t, rdb, "notify")
	// An archived id without its task breaks the inspector's script.
	if err := rdb.ZAdd(t.Context(), "asynq:{notify}:archived", redis.Z{Score: 1, Member: "ghost"}).Err(); err != nil {
		t.Fatal(err)
	}
	code, body := get(t, addr, "/metrics")
	for _, want := range []string{
		`plusone_queue_up{queue="drain"} 1`, `plusone_queue_up{queue="notify"} 0`,
		`plusone_queue_tasks{queue="drain",state="pending"} 1`, `plusone_queue_latency_seconds{queue="drain"}`,
	} {
		if code != 200 || !strings.Contains(body, want) {
			t.Errorf("%d, without %s", code, want)
		}
	}
}

func TestMetricsSurviveARedisThatIsAway(t *testing.T) {
	addr, rdb := serve(t)
	_ = rdb.ShutdownNoSave(t.Context()).Err()
	if code, body := get(t, addr, "/metrics"); code != 200 || !strings.Contains(body, "go_goroutines") {
		t.Errorf("%d %.200s", code, body)
	}
}

func TestANameThatSomebodyElseMayOwnIsRefused(t *testing.T) {
	addr, _ := serve(t)
	for host, want := range map[string]int{
		"evil.example": 421, "evil.example:9090": 421, "localhost.evil.example": 421,
		"localhost": 200, "localhost:9090": 200, "127.0.0.1": 200, "[::1]:9090": 200, "[::1]": 200,
	} {
		if code, _ := ask(t, "GET", addr, "/livez", host); code != want {
			t.Errorf("Host %s: %d, want %d", host, code, want)
		}
	}
}
