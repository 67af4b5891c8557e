package main

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"plusone/hotpath/counter"
	"plusone/scripts/dev/private/privatetest"
)

// told is an answer with what it does not hold told apart from what is false.
type told struct {
	status int
	retry  string
	took   time.Duration
	body   map[string]any
}

// tell is one request as a user; "" is nobody.
func tell(t *testing.T, method, url, user string) told {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	must(t, err)
	if user != "" {
		req.Header.Set("X-User-ID", user)
	}
	req.Close = true
	start := time.Now()
	res, err := http.DefaultClient.Do(req)
	must(t, err)
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	must(t, err)
	a := told{status: res.StatusCode, retry: res.Header.Get("Retry-After"), took: time.Since(start)}
	must(t, json.Unmarshal(b, &a.body))
	return a
}

// from waits until a like is taken by a source; "" is Redis.
func (a apiNode) from(t *testing.T, user, source string) {
	t.Helper()
	eventually(t, "likes go to "+source, func() bool {
		got := tell(t, "PUT", a.api+likeOf("page"), user)
		s, _ := got.body["source"].(string)
		return got.status == 200 && s == source
	})
}

// refuses holds that a request is answered by 503 at once, and when to come again. One
// that waits for a store is never answered at once, a busy machine is now and then.
func refuses(t *testing.T, method, url, user string) {
	t.Helper()
	eventually(t, method+" "+url+" is refused at once", func() bool {
		got := tell(t, method, url, user)
		if got.status != 503 || got.retry == "" {
			t.Errorf("%s %s: %+v", method, url, got)
		}
		return got.took <= 50*time.Millisecond
	})
}

// apiNode is a running `plusone api`.
type apiNode struct {
	*running
	api, inside string
}

func startAPI(t *testing.T, redisURL, pgURL string) apiNode {
	t.Helper()
	p := start(t, args("api", []string{"--redis-url", redisURL, "--postgres-url", pgURL}, ports)...)
	return apiNode{p, p.find(t, publicURL), p.find(t, insideURL)}
}

// ready waits until /readyz holds a text.
func (a apiNode) ready(t *testing.T, want string) {
	t.Helper()
	eventually(t, "/readyz says "+want, func() bool {
		_, body := request(t, "GET", a.inside+"/readyz")
		return strings.Contains(body, want)
	})
}

func TestEveryOutageIsAnsweredAsPromised(t *testing.T) {
	t.Parallel()
	rds, pg := privatetest.Redis(t), privatetest.PostgresServer(t)
	stores := []string{"--redis-url", rds.URL(), "--postgres-url", pg.URL()}
	if p := start(t, args("migrate", stores[2:])...); p.end(t, 0) != exitOK {
		t.Fatal(p.said())
	}
	a := startAPI(t, rds.URL(), pg.URL())

	t.Log("no worker runs")
	a.from(t, "ann", "")
	worker := start(t, args("worker", stores, ports[2:])...)
	inside := worker.find(t, insideURL)
	eventually(t, "a worker that comes later drains", func() bool {
		_, body := request(t, "GET", inside+"/metrics")
		return strings.Contains(body, "plusone_drained_rows_total 1")
	})

	t.Log("Postgres is away")
	pg.Kill()
	a.ready(t, "degraded postgres")
	a.from(t, "bob", "")
	if got := tell(t, "GET", a.api+"/v1/items/page", "ann"); got.status != 200 || got.body["source"] != "redis" || got.body["liked"] != true {
		t.Errorf("a read: %+v", got)
	}

	t.Log("both are away")
	rds.Kill()
	a.ready(t, "FAILED   writes")
	refuses(t, "PUT", a.api+likeOf("page"), "eve")
	refuses(t, "GET", a.api+"/v1/items/never-seen", "")
	got := tell(t, "GET", a.api+"/v1/items/page", "ann")
	if _, known := got.body["liked"]; got.status != 200 || got.body["source"] != "cache" || got.body["count"] != 2.0 || known {
		t.Errorf("a read: %+v", got)
	}

	t.Log("Redis alone is away")
	must(t, pg.Restart(t.Context()))
	a.from(t, "eve", "ledger")
	if got := tell(t, "GET", a.api+"/v1/items/page", "eve"); got.body["source"] != "ledger" || got.body["liked"] != true {
		t.Errorf("a read: %+v", got)
	}
	if code, body := request(t, "GET", a.inside+"/readyz"); code != 200 || !strings.Contains(body, "writes: to Postgres since") {
		t.Errorf("/readyz: %d %s", code, body)
	}

	t.Log("both are back")
	must(t, rds.Restart(t.Context()))
	start := time.Now()
	a.from(t, "joe", "")
	t.Logf("after %v", time.Since(start))
	if got := tell(t, "GET", a.api+"/v1/items/page", "bob"); got.body["count"] != 4.0 || got.body["liked"] != true {
		t.Errorf("a read: %+v", got)
	}
	h := &house{redis: rds.URL(), pg: pg.URL()}
	if found := h.reconcile(t); len(found) > 0 {
		t.Errorf("there is something to repair: %+v", found)
	}
}

// The first API is stopped while the second switches to the ledger. Requests wait
// in its sockets and must not go to Redis when it wakes up.
func TestAProcessThatSleepsThroughASwitchDoesNotWriteToRedis(t *testing.T) {
	t.Parallel()
	stores := migrated(t)
	link := privatetest.NewProxy(t, stores[1])
	sleeper, other := startAPI(t, stores[1], stores[3]), startAPI(t, "redis://"+link.Addr(), stores[3])
	sleeper.from(t, "ann", "")
	other.from(t, "bob", "")
	o, err := redis.ParseURL(stores[1])
	must(t, err)
	rdb := redis.NewClient(o)
	defer func() { _ = rdb.Close() }()
	logs := counter.NewLog(rdb, houseShards)
	shard := counter.ShardOf("page", houseShards)
	before, err := logs.Tail(t.Context(), shard)
	must(t, err)

	must(t, sleeper.cmd.Process.Signal(syscall.SIGSTOP))
	link.Cut(true)
	other.from(t, "eve", "ledger")
	answers := make([]told, 12)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() { answers[i] = tell(t, "PUT", sleeper.api+likeOf("page"), "sleepy"+string(rune('a'+i))) })
	}
	time.AfterFunc(200*time.Millisecond, func() { _ = sleeper.cmd.Process.Signal(syscall.SIGCONT) }) // they are in its sockets by then
	all.Wait()
	for i, a := range answers {
		if a.status == 200 && a.body["source"] != "ledger" || a.status != 200 && a.body["code"] == "outcome_unknown" {
			t.Errorf("answer %d: %+v", i, a)
		}
	}
	after, err := logs.Tail(t.Context(), shard)
	must(t, err)
	if after.Len != before.Len || after.Last != before.Last {
		t.Errorf("the log has grown: %+v, before %+v", after, before)
	}
}

// All of plusone ended while Redis was away, and has to come up without it.
func TestPlusoneStartsWithoutRedisUnlessItIsTheFirstTime(t *testing.T) {
	t.Parallel()
	rds := privatetest.Redis(t)
	where := []string{"--redis-url", rds.URL(), "--postgres-url", privatetest.Postgres(t)}
	if p := start(t, args("migrate", where[2:])...); p.end(t, 0) != exitOK {
		t.Fatal(p.said())
	}
	serve := func() apiNode {
		p := start(t, args("serve", where, ports)...)
		return apiNode{p, p.find(t, publicURL), p.find(t, insideURL)}
	}
	rds.Kill()
	if p := start(t, args("serve", where, ports)...); p.end(t, 0) != exitFailed || !strings.Contains(p.said(), "is it running, and is --redis-url right?") {
		t.Fatalf("the first start ever: %s", p.said())
	}
	must(t, rds.Restart(t.Context()))
	a := serve()
	a.from(t, "ann", "")
	eventually(t, "the like is drained", func() bool {
		_, body := request(t, "GET", a.inside+"/metrics")
		return strings.Contains(body, "plusone_drained_rows_total 1")
	})
	if code := a.end(t, syscall.SIGTERM); code != exitOK {
		t.Fatalf("serve ends with %d", code)
	}
	rds.Kill()
	a = serve()
	a.from(t, "bob", "ledger")
	must(t, rds.Restart(t.Context()))
	a.from(t, "eve", "")
	if got := tell(t, "GET", a.api+"/v1/items/page", "bob"); got.body["count"] != 3.0 || got.body["liked"] != true {
		t.Errorf("a read: %+v", got)
	}
}
