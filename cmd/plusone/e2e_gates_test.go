package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// door is a public listener, and what a user asks of it.
type door struct {
	t   *testing.T
	url string
}

func (d door) ask(method, path, user, body string) int {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.t.Context(), method, d.url+path, strings.NewReader(body))
	must(d.t, err)
	if user != "" {
		req.Header.Set("X-User-ID", user)
	}
	res, err := http.DefaultClient.Do(req)
	must(d.t, err)
	must(d.t, res.Body.Close())
	return res.StatusCode
}

// Names that stand nowhere by chance.
const (
	markedUser = "marker-user-7f3a91"
	markedItem = "marker-item-52c0de"
)

// visit lets a user do everything that a user can do, well and badly.
func visit(d door, user, item string) {
	for _, a := range []struct{ method, path, as, body string }{
		{"PUT", likeOf(item), user, ""},
		{"PUT", likeOf(item), user, ""},
		{"POST", likeOf(item) + "/toggle", user, ""},
		{"POST", likeOf(item) + "/toggle", user, ""},
		{"DELETE", likeOf(item), user, ""},
		{"PUT", likeOf(item), user, ""},
		{"GET", "/v1/items/" + item, user, ""},
		{"GET", "/v1/items?id=" + item + "&id=" + item + "%00", user, ""},
		{"GET", "/v1/items/" + item + "/likers?cursor=" + user, user, ""},
		{"GET", "/v1/users/" + user + "/likes", user, ""},
		{"GET", "/v1/users/" + user + "/likes", "somebody", ""},
		{"PUT", likeOf(item + "%7B"), user, ""},
		{"PUT", likeOf(item), user + "{", ""},
		{"POST", "/v1/likes", user, `{"ops":[{"item":"` + item + `","user":"` + user + `","liked":true}]}`},
		{"GET", "/" + item + "/" + user, user, ""},
		{"GET", "/v1/receipts/" + user, user, ""},
	} {
		d.ask(a.method, a.path, a.as, a.body)
	}
}

func redisOf(t *testing.T, stores []string) *redis.Client {
	t.Helper()
	o, err := redis.ParseURL(stores[1])
	must(t, err)
	rdb := redis.NewClient(o)
	t.Cleanup(func() { _ = rdb.Close() })
	return rdb
}

func TestWhatUsersDoStandsInNoLogNoMetricAndNoScript(t *testing.T) {
	t.Parallel()
	stores := migrated(t)
	p := start(t, args("serve", stores, ports, []string{"--log-level=debug", "--user-rate=1000", "--user-burst=4", "--address-rate=1000"})...)
	d := door{t, p.find(t, publicURL)}
	inside := p.find(t, insideURL)
	rdb := redisOf(t, stores)
	scripts := func() (n int) {
		_, rest, _ := strings.Cut(rdb.Info(t.Context(), "memory").Val(), "number_of_cached_scripts:")
		_, _ = fmt.Sscan(rest, &n)
		return n
	}
	drained := func(n int) {
		eventually(t, "the likes are drained", func() bool {
			_, body := request(t, "GET", inside+"/metrics")
			var rows int
			_, rest, _ := strings.Cut(body, "\nplusone_drained_rows_total ")
			_, _ = fmt.Sscan(rest, &rows)
			return rows >= n
		})
	}
	for n := range 20 {
		visit(d, fmt.Sprintf("%s-%d", markedUser, n), markedItem)
	}
	drained(20)
	cached := scripts()
	for n := range 20 {
		visit(d, fmt.Sprintf("%s-again-%d", markedUser, n), fmt.Sprintf("%s-%d", markedItem, n))
	}
	drained(40)
	if now := scripts(); cached == 0 || now > cached+10 { // asynq has some that run now and then
		t.Errorf("Redis knows %d scripts, then %d: something stands in their text", cached, now)
	}
	_, metrics := request(t, "GET", inside+"/metrics")
	if code := p.end(t, syscall.SIGTERM); code != exitOK {
		t.Errorf("serve ends with %d", code)
	}
	for where, text := range map[string]string{"metrics": metrics, "log": p.said()} {
		for _, marker := range []string{markedUser, markedItem} {
			if i := strings.Index(text, marker); i >= 0 {
				t.Errorf("the %s tells %s", where, text[max(0, i-200):min(len(text), i+100)])
			}
		}
		if len(text) < 500 {
			t.Errorf("%s: %s", where, text)
		}
	}
}

func TestProcessesShareTheLimitOfAUser(t *testing.T) {
	t.Parallel()
	stores := migrated(t)
	limit := []string{"--user-rate=0.01", "--user-burst=40"}
	a := start(t, args("api", stores, ports, limit)...)
	b := start(t, args("api", stores, ports, limit)...)
	first, second := door{t, a.find(t, publicURL)}, door{t, b.find(t, publicURL)}
	granted := 0
	for first.ask("GET", "/v1/items/a", "u", "") == 200 {
		granted++
	}
	if granted != 40 {
		t.Errorf("the first process grants %d requests, want 40", granted)
	}
	rdb := redisOf(t, stores)
	full := func() (in time.Duration) { // the shared bucket
		for _, key := range rdb.Keys(t.Context(), "p1:*:rate:*").Val() {
			in = max(in, rdb.PTTL(t.Context(), key).Val())
		}
		return in
	}
	eventually(t, "the first process has told of it", func() bool { return full() > 3900*time.Second })
	before := full()
	granted = 0
	for range 11 { // a quarter of the burst is a process' own
		if second.ask("GET", "/v1/items/a", "u", "") == 200 {
			granted++
		}
	}
	eventually(t, "the second process asks for it", func() bool { return full() > before })
	eventually(t, "the second process has learned of it", func() bool {
		if second.ask("GET", "/v1/items/a", "u", "") == 429 {
			return true
		}
		granted++
		return false
	})
	if granted >= 30 {
		t.Errorf("the second process grants %d requests more", granted)
	}
	for _, p := range []*running{a, b} {
		if code := p.end(t, syscall.SIGTERM); code != exitOK {
			t.Errorf("ends with %d", code)
		}
	}
}

func TestEraseRemovesAPersonWhileEverythingRuns(t *testing.T) {
	t.Parallel()
	stores := migrated(t)
	p := start(t, args("serve", stores, ports)...)
	d := door{t, p.find(t, publicURL)}
	for n := range 10 {
		for _, user := range []string{markedUser, "somebody"} {
			if code := d.ask("PUT", likeOf(fmt.Sprint("page-", n)), user, ""); code != 200 {
				t.Fatalf("like: %d", code)
			}
		}
	}
	erase := func(more ...string) (r erasure) {
		t.Helper()
		c := start(t, args("erase", stores, []string{"--user", markedUser, "--json", "--log-level=error"}, more)...)
		if code := c.end(t, 0); code != exitOK {
			t.Fatalf("erase ends with %d: %s", code, c.said())
		}
		must(t, json.Unmarshal([]byte(c.said()), &r))
		if strings.Contains(c.said(), markedUser) {
			t.Errorf("the report repeats the id: %s", c.said())
		}
		return r
	}
	if r := erase("--dry-run"); r.Found == nil || r.Found.Sets != 10 || r.Unliked != 0 {
		t.Errorf("dry run: %+v %+v", r, r.Found)
	}
	if r := erase(); r.Unliked != 10 || r.Tombstones != 10 {
		t.Errorf("erase: %+v", r)
	}
	if r := erase("--dry-run"); *r.Found != (foundUser{}) {
		t.Errorf("after it: %+v", r.Found)
	}
	for n := range 10 {
		if _, body := request(t, "GET", d.url+fmt.Sprint("/v1/items/page-", n)); !strings.Contains(body, `"count":1,`) {
			t.Errorf("page-%d: %s", n, body)
		}
	}
	bad := start(t, args("erase", stores, []string{"--user", "a b"})...)
	if code := bad.end(t, 0); code != exitUsage {
		t.Errorf("a user that is none: %d %s", code, bad.said())
	}
	if code := p.end(t, syscall.SIGTERM); code != exitOK {
		t.Errorf("serve ends with %d", code)
	}
}
