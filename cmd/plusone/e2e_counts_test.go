package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"plusone/hotpath/counter"
	"plusone/scripts/dev/private/privatetest"
)

// The issue's own list, over a running plusone: each test is a person's way.

func TestTwentyThousandOpsByManyClientsEndTheSameOnAllSides(t *testing.T) {
	t.Parallel()
	h := dev(t, filepath.Join(t.TempDir(), "data"))
	clients := newClients(h, 40, 5)
	load(t, t.Context(), clients, 500)
	_, codes, unsure := totals(clients)
	if busy := codes[http.StatusServiceUnavailable]; codes[http.StatusOK] < 18_000 || busy > 500 || len(codes) > 2 || unsure > 0 && busy == 0 {
		t.Errorf("answers by status: %v, unsure of %d", codes, unsure)
	}
	settle(t, clients) // a machine that stands still for a second may have refused some
	holds(t, h, clients)
	if found := h.reconcile(t); len(found) > 0 {
		t.Errorf("drift without damage: %+v", found)
	}
}

func TestRepeatsChangeNothing(t *testing.T) {
	t.Parallel()
	h := dev(t, filepath.Join(t.TempDir(), "data"))
	first := h.ask(t, "PUT", likeOf("page"), "ann")
	if !first.Changed || first.Count != 1 || first.Receipt == "" {
		t.Errorf("first like: %+v", first)
	}
	if again := h.ask(t, "PUT", likeOf("page"), "ann"); again.Changed || again.Count != 1 || again.Receipt != "" {
		t.Errorf("second like: %+v", again)
	}
	if on := h.ask(t, "POST", likeOf("page")+"/toggle", "bob"); on.Action != "like" || on.Count != 2 {
		t.Errorf("first toggle: %+v", on)
	}
	if off := h.ask(t, "POST", likeOf("page")+"/toggle", "bob"); off.Action != "unlike" || off.Count != 1 {
		t.Errorf("second toggle: %+v", off)
	}
	if never := h.ask(t, "DELETE", likeOf("page"), "cid"); never.Changed || never.Count != 1 {
		t.Errorf("unlike of what was never liked: %+v", never)
	}
	h.drained(t)
	h.agree(t, "page", 1)
	if r := h.ask(t, "GET", "/v1/receipts/"+first.Receipt, "ann"); r.State != "persisted" {
		t.Errorf("receipt: %+v", r)
	}
}

func TestAKillOfEverythingUnderLoadLosesNothingAcknowledged(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	h := dev(t, data)
	clients := newClients(h, 24, 5)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		load(t, ctx, clients, 0)
	}()
	eventually(t, "the load is in its middle", func() bool { return h.metric(t, "plusone_ops_total", "changed") > 1000 })
	h.killAll(t)
	cancel()
	<-ended
	_, codes, unsure := totals(clients)
	t.Logf("answers by status: %v, unanswered %d", codes, unsure)
	if unsure == 0 {
		t.Error("the kill came too late to hit anything")
	}

	h = dev(t, data)
	for _, c := range clients {
		c.h = h
	}
	holds(t, h, clients)
	settle(t, clients)
	holds(t, h, clients)
	if found := h.reconcile(t); len(found) > 0 {
		t.Errorf("drift after the kill: %+v", found)
	}
}

func TestAfterFlushallTheNextAnswersAreRight(t *testing.T) {
	t.Parallel()
	h := dev(t, filepath.Join(t.TempDir(), "data"))
	clients := newClients(h, 8, 3)
	load(t, t.Context(), clients, 100)
	h.drained(t)
	before := h.watermarks(t)
	counts, _, _ := totals(clients)
	must(t, h.rdb.FlushAll(t.Context()).Err())

	for item, n := range counts {
		if a := h.ask(t, "GET", "/v1/items/"+item, ""); a.Count != n {
			t.Errorf("%s after FLUSHALL: %+v, want %d", item, a, n)
		}
		a := h.ask(t, "PUT", likeOf(item), "late")
		if !a.Changed || a.Count != n+1 {
			t.Errorf("a like after FLUSHALL: %+v, want count %d", a, n+1)
		}
		var ms, seq int64
		var shard int
		_, err := fmt.Sscanf(a.Receipt, "%d-%d-%d", &shard, &ms, &seq)
		must(t, err)
		if ms<<20|seq <= before[shard] {
			t.Errorf("receipt %s is not above the watermark %d", a.Receipt, before[shard])
		}
		h.ask(t, "DELETE", likeOf(item), "late")
	}
	holds(t, h, clients)
	if found := h.reconcile(t); len(found) > 0 {
		t.Errorf("drift after FLUSHALL: %+v", found)
	}
}

func TestWithoutPostgresLikesAreAcceptedAndDrainLater(t *testing.T) {
	t.Parallel()
	pg, rds := privatetest.PostgresServer(t), privatetest.Redis(t)
	stores := []string{"--redis-url", rds.URL(), "--postgres-url", pg.URL()}
	if p := start(t, append([]string{"migrate"}, stores[2:]...)...); p.end(t, 0) != exitOK {
		t.Fatal(p.said())
	}
	h := &house{
		running: start(t, args("serve", stores, ports)...),
		redis:   rds.URL(), pg: pg.URL(),
	}
	h.api, h.inside = h.find(t, publicURL), h.find(t, insideURL)
	h.open(t)
	clients := newClients(h, 16, 4)
	load(t, t.Context(), clients, 50) // warms every item

	away := 4 * time.Second
	if os.Getenv("PLUSONE_TEST_LONG") != "" {
		away = 30 * time.Second
	}
	must(t, pg.Stop(t.Context()))
	ctx, cancel := context.WithTimeout(t.Context(), away)
	defer cancel()
	load(t, ctx, clients, 0)
	_, codes, unsure := totals(clients)
	t.Logf("answers by status with Postgres away: %v", codes)
	if len(codes) > 1 || unsure > 0 {
		t.Errorf("answers by status: %v, unanswered %d", codes, unsure)
	}
	var waiting int64
	for shard := range houseShards {
		waiting += h.rdb.XLen(t.Context(), fmt.Sprintf("p1:{%d}:log", shard)).Val()
	}
	if waiting == 0 {
		t.Error("the log did not grow")
	}
	must(t, pg.Restart(t.Context()))
	holds(t, h, clients)
	if code := h.end(t, 15); code != exitOK {
		t.Errorf("serve ends with %d", code)
	}
}

func TestTheNumberOfShardsChangesAndNothingIsLost(t *testing.T) {
	t.Parallel()
	stores := migrated(t)
	serving := func(shards int) *house {
		h := &house{running: start(t, args("serve", stores, ports, []string{fmt.Sprintf("--shards=%d", shards)})...)}
		h.redis, h.pg = stores[1], stores[3]
		h.api, h.inside = h.find(t, publicURL), h.find(t, insideURL)
		h.open(t)
		return h
	}
	change := func(to string, want string) {
		p := start(t, args("migrate", []string{"shards", to}, stores)...)
		if code := p.end(t, 0); code != exitOK || !strings.Contains(p.said(), want) {
			t.Fatalf("migrate shards %s: %d %s", to, code, p.said())
		}
	}
	h := serving(16)
	for i := range 40 {
		h.ask(t, "PUT", likeOf(fmt.Sprintf("item-%d", i)), "ann")
	}
	// The old processes still run: what they have accepted is drained first, and
	// afterwards they accept nothing more.
	for n, shards := range []int{4, 32} {
		change(strconv.Itoa(shards), "it was")
		change(strconv.Itoa(shards), "already")
		if a, err := h.call(t.Context(), "PUT", likeOf("item-1"), "late"); err != nil || a.Status != http.StatusServiceUnavailable {
			t.Errorf("a process with the old number answers %+v %v", a, err)
		}
		old := h
		h = serving(shards)
		for i := range 40 {
			path := fmt.Sprintf("item-%d", i)
			if a := h.ask(t, "GET", "/v1/items/"+path, "ann"); a.Count != int64(n+1) || !a.Liked {
				t.Errorf("%s with %d shards: %+v", path, shards, a)
			}
			if a := h.ask(t, "PUT", likeOf(path), fmt.Sprintf("bob-%d", n)); !a.Changed || a.Count != int64(n+2) {
				t.Errorf("%s with %d shards: %+v", path, shards, a)
			}
		}
		if found := h.reconcile(t, fmt.Sprintf("--shards=%d", shards)); len(found) > 0 {
			t.Errorf("drift with %d shards: %+v", shards, found)
		}
		if code := old.end(t, syscall.SIGTERM); code != exitOK {
			t.Errorf("the old process ends with %d", code)
		}
	}
}

func TestDamageOnEitherSideIsNamedAndRepairedOnce(t *testing.T) {
	t.Parallel()
	h := dev(t, filepath.Join(t.TempDir(), "data"), "--reconcile-every=1h", "--reconcile-full=1h")
	eventually(t, "dev's own reconciler has made its first round", func() bool {
		var checked int
		must(t, h.pool.QueryRow(t.Context(), `SELECT count(*) FROM checks`).Scan(&checked))
		return checked == houseShards+1 // the books, too
	})
	for i := range 4 {
		for u := range 5 {
			h.ask(t, "PUT", likeOf(fmt.Sprintf("page-%d", i)), fmt.Sprintf("u%d", u))
		}
	}
	h.drained(t)
	in := func(item, name string) string {
		return fmt.Sprintf("p1:{%d}:%s", counter.ShardOf(item, houseShards), name)
	}
	must(t, h.rdb.SRem(t.Context(), in("page-0", "likers:page-0"), "u1").Err())
	_, err := h.pool.Exec(t.Context(), `DELETE FROM likes WHERE item_id = 'page-1' AND user_id = 'u2'`)
	must(t, err)
	must(t, h.rdb.HSet(t.Context(), in("page-2", "counts"), "page-2", 77).Err())
	_, err = h.pool.Exec(t.Context(), `UPDATE item_counts SET count = 99 WHERE item_id = 'page-3'`)
	must(t, err)

	dry, found := h.reconcile(t, "--dry-run"), h.reconcile(t)
	if len(dry) != 5 || len(found) != 5 { // the lost row is also a wrong count in the ledger
		t.Errorf("dry run: %+v\nthen: %+v", dry, found)
	}
	for _, f := range found {
		if f.Cause == "" || !f.Repaired {
			t.Errorf("finding without cause or repair: %+v", f)
		}
	}
	h.drained(t)
	for i := range 4 {
		h.agree(t, fmt.Sprintf("page-%d", i), 5)
	}
	if again := h.reconcile(t); len(again) > 0 {
		t.Errorf("second pass: %+v", again)
	}

	// Under full load without damage: nothing.
	clients := newClients(h, 16, 5)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		load(t, ctx, clients, 0)
	}()
	for range 3 {
		if found := h.reconcile(t); len(found) > 0 {
			t.Errorf("drift under load: %+v", found)
		}
	}
	cancel()
	<-ended
	holds(t, h, clients)
}

func TestTheDashboardShowsDrainAndNotifyTasks(t *testing.T) {
	t.Parallel()
	h := dev(t, filepath.Join(t.TempDir(), "data"), "--webhook-window=100ms",
		"--webhook-url=http://127.0.0.1:9/none", "--webhook-allow-private", "--webhook-secret="+hookSecret)
	h.ask(t, "PUT", likeOf("page"), "ann")
	for _, queue := range []string{"drain", "notify"} {
		eventually(t, queue+" tasks were processed", func() bool {
			code, body := request(t, "GET", h.inside+"/tasks/api/queues")
			return code == 200 && strings.Contains(body, `"queue":"`+queue+`"`)
		})
	}
	if code, body := request(t, "POST", h.inside+"/tasks/api/queues/drain:pause"); code < 400 {
		t.Errorf("the dashboard lets anybody pause a queue: %d %s", code, body)
	}
	h.picture(t, "/tasks/", "drain")
}

// picture opens a page of the internal listener in a headless browser, if there
// is one, and expects its text to hold want. PLUSONE_TEST_PICTURES names a
// directory to keep the pictures in.
func (h *house) picture(t *testing.T, path, want string) {
	t.Helper()
	chromium, err := exec.LookPath("chromium")
	if errors.Is(err, exec.ErrNotFound) {
		t.Log("chromium is not installed, so nobody looked at", path)
		return
	}
	must(t, err)
	browser := func(more ...string) string {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, chromium, append([]string{
			"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
			"--disable-component-update", "--disable-sync", "--user-data-dir=" + t.TempDir(), "--window-size=1280,900",
			"--virtual-time-budget=8000", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
		}, more...)...)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("chromium: %v", err)
		}
		return string(out)
	}
	if dom := browser("--dump-dom", h.inside+path); !strings.Contains(dom, want) {
		t.Errorf("%s does not show %q:\n%s", path, want, dom)
	}
	if dir := os.Getenv("PLUSONE_TEST_PICTURES"); dir != "" {
		browser("--screenshot="+filepath.Join(dir, strings.Trim(path, "/")+".png"), h.inside+path)
	}
}
