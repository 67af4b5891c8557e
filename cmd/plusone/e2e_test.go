package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"plusone/hotpath/counter"
	"plusone/hotpath/like"
	"plusone/scripts/dev/private/privatetest"
)

// house is a running plusone with doors into both of its stores.
type house struct {
	*running
	api, inside string // URLs
	redis, pg   string // URLs
	key         string // of a server
	rdb         *redis.Client
	pool        *pgxpool.Pool
	client      *http.Client
}

const houseShards = like.DefaultShards

// dev starts `plusone dev` on data and waits until it runs.
func dev(t *testing.T, data string, more ...string) *house {
	t.Helper()
	privatetest.Redis(t) // says what is missing on this machine
	privatetest.Postgres(t)
	// A machine that others keep busy may take its time for an op.
	h := &house{running: start(t, append([]string{"dev", "--data", data, "--listen", "127.0.0.1:0", "--internal-listen", "127.0.0.1:0", "--op-timeout=20s"}, more...)...)}
	h.api = h.find(t, `API +(http://\S+)`)
	h.inside = h.find(t, `inside +(http://\S+)`)
	h.redis = h.find(t, `redis +(redis://\S+)`)
	h.pg = h.find(t, `postgres +(postgres://\S+)`)
	key, err := os.ReadFile(filepath.Join(data, "server-key"))
	must(t, err)
	h.key = strings.TrimSpace(string(key))
	h.open(t)
	return h
}

// open connects to the stores and readies a client for many connections.
func (h *house) open(t *testing.T) {
	t.Helper()
	o, err := redis.ParseURL(h.redis)
	must(t, err)
	h.rdb = redis.NewClient(o)
	h.pool, err = pgxpool.New(t.Context(), h.pg)
	must(t, err)
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	h.client = &http.Client{Transport: transport, Timeout: 30 * time.Second}
	t.Cleanup(func() {
		_ = h.rdb.Close()
		h.pool.Close()
		transport.CloseIdleConnections()
	})
}

// answer is what the API says of an op or an item.
type answer struct {
	Status  int    `json:"-"`
	Item    string `json:"item"`
	User    string `json:"user"`
	Liked   bool   `json:"liked"`
	Changed bool   `json:"changed"`
	Action  string `json:"action"`
	Count   int64  `json:"count"`
	Receipt string `json:"receipt"`
	Source  string `json:"source"`
	Code    string `json:"code"`
	State   string `json:"state"`
}

// call is one request as user; the error means that no whole answer came.
func (h *house) call(ctx context.Context, method, path, user string) (a answer, err error) {
	req, err := http.NewRequestWithContext(ctx, method, h.api+path, nil)
	if err != nil {
		return a, err
	}
	if user != "" {
		req.Header.Set("X-User-ID", user)
	}
	res, err := h.client.Do(req)
	if err != nil {
		return a, err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return a, err
	}
	a.Status = res.StatusCode
	return a, json.Unmarshal(body, &a)
}

// ask is a call that must be answered with 200. One that a store did not answer in
// time is made again, unless it may have been applied.
func (h *house) ask(t *testing.T, method, path, user string) answer {
	t.Helper()
	var a answer
	eventually(t, "the stores have time for "+path, func() bool {
		var err error
		a, err = h.call(t.Context(), method, path, user)
		must(t, err)
		return a.Status != http.StatusServiceUnavailable || a.Code == "outcome_unknown" && method != http.MethodGet
	})
	if a.Status != 200 {
		t.Fatalf("%s %s as %q: %+v", method, path, user, a)
	}
	return a
}

// likeOf is what PUT, DELETE and toggle are called on.
func likeOf(item string) string { return "/v1/items/" + item + "/like" }

// drained waits until the ledger has all that the logs hold.
func (h *house) drained(t *testing.T) {
	t.Helper()
	log := counter.NewLog(h.rdb, houseShards)
	eventually(t, "the logs are drained", func() bool {
		marks := h.watermarks(t)
		for shard := range houseShards {
			tail, err := log.Tail(t.Context(), shard)
			must(t, err)
			if int64(tail.Last) > marks[shard] {
				return false
			}
		}
		return true
	})
}

func (h *house) watermarks(t *testing.T) map[int]int64 {
	t.Helper()
	rows, err := h.pool.Query(t.Context(), `SELECT shard, version FROM watermarks`)
	must(t, err)
	marks := map[int]int64{}
	var shard int
	var version int64
	_, err = pgx.ForEachRow(rows, []any{&shard, &version}, func() error { marks[shard] = version; return nil })
	must(t, err)
	return marks
}

// sides are the four figures that must be one.
func (h *house) sides(t *testing.T, item string) (count, card, ledger, rows int64) {
	t.Helper()
	shard := counter.ShardOf(item, houseShards)
	count, err := h.rdb.HGet(t.Context(), fmt.Sprintf("p1:{%d}:counts", shard), item).Int64()
	must(t, err)
	card, err = h.rdb.SCard(t.Context(), fmt.Sprintf("p1:{%d}:likers:%s", shard, item)).Result()
	must(t, err)
	must(t, h.pool.QueryRow(t.Context(), `
		SELECT coalesce((SELECT count FROM item_counts WHERE item_id = $1), 0),
		       (SELECT count(*) FROM likes WHERE item_id = $1 AND liked)`, item).Scan(&ledger, &rows))
	return count, card, ledger, rows
}

// agree expects all four figures of an item to be n.
func (h *house) agree(t *testing.T, item string, n int64) {
	t.Helper()
	count, card, ledger, rows := h.sides(t, item)
	if count != n || card != n || ledger != n || rows != n {
		t.Errorf("%s: redis count %d, cardinality %d; ledger count %d, rows %d; want %d", item, count, card, ledger, rows, n)
	}
}

// finding is one line of `plusone reconcile --once --json`.
type finding struct {
	Item, User, Side, Before, After, Cause string
	Repaired                               bool
}

// reconcile runs the command beside the running plusone.
func (h *house) reconcile(t *testing.T, more ...string) []finding {
	t.Helper()
	p := start(t, append([]string{"reconcile", "--once", "--json", "--log-level=error", "--redis-url", h.redis, "--postgres-url", h.pg}, more...)...)
	if code := p.end(t, 0); code != exitOK {
		t.Fatalf("reconcile ends with %d: %s", code, p.said())
	}
	var report struct{ Drifts []finding }
	must(t, json.NewDecoder(bytes.NewReader([]byte(p.said()))).Decode(&report))
	return report.Drifts
}

// metric is the sum of a metric's series whose line holds part.
func (h *house) metric(t *testing.T, name, part string) (sum float64) {
	t.Helper()
	code, body := request(t, "GET", h.inside+"/metrics")
	if code != 200 {
		t.Fatalf("/metrics: %d", code)
	}
	for _, m := range regexp.MustCompile(`(?m)^(`+name+`(?:\{[^}]*\})?) (\S+)$`).FindAllStringSubmatch(body, -1) {
		if strings.Contains(m[1], part) {
			var v float64
			_, err := fmt.Sscan(m[2], &v)
			must(t, err)
			sum += v
		}
	}
	return sum
}

// killAll kills the whole process group of a plusone, as a shell's kill -9 does.
func (r *running) killAll(t *testing.T) {
	t.Helper()
	must(t, syscall.Kill(-r.cmd.Process.Pid, syscall.SIGKILL))
	_ = r.cmd.Wait()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
