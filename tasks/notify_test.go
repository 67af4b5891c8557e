package tasks_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"plusone/hotpath/like"
	"plusone/scripts/dev/private/privatetest"
	"plusone/tasks"
	"plusone/tasks/ledger"
)

// told is one message as a receiver got it.
type told struct {
	at     time.Time
	header http.Header
	body   []byte
	Type   string
	Data   like.Notification
}

// receiver is a webhook receiver that answers as it is told.
type receiver struct {
	*httptest.Server
	mu  sync.Mutex
	got []told
}

// newReceiver starts a receiver; answer has the number of the message, from zero.
func newReceiver(t *testing.T, answer func(i int, w http.ResponseWriter, r *http.Request)) *receiver {
	t.Helper()
	rec := &receiver{}
	rec.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m := told{at: time.Now(), header: r.Header}
		var err error
		if m.body, err = io.ReadAll(r.Body); err == nil {
			err = json.Unmarshal(m.body, &m)
		}
		if err != nil {
			t.Error(err)
		}
		rec.mu.Lock()
		i := len(rec.got)
		rec.got = append(rec.got, m)
		rec.mu.Unlock()
		answer(i, w, r)
	}))
	t.Cleanup(rec.Close)
	return rec
}

func (r *receiver) all() []told {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]told(nil), r.got...)
}

func status(code int) func(int, http.ResponseWriter, *http.Request) {
	return func(_ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// hang answers when the sender has gone.
func hang(_ int, _ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func secret(c string) string {
	return "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat(c, 32)))
}

func to(url string) tasks.Receiver {
	return tasks.Receiver{URL: url, Secrets: []string{secret("s")}}
}

// stage has everything that a Notifier needs, on real servers.
type stage struct {
	*tasks.Notifier
	t      *testing.T
	r      string         // the name of the first receiver
	ledger *ledger.Ledger // straight, whatever happens to the notifier's connections
	pool   *pgxpool.Pool
	pg     *privatetest.Proxy // between the notifier and Postgres
	rdb    *privatetest.Proxy // between the notifier's doorbell and Redis
	redis  string
	reg    *prometheus.Registry

	likers  map[string]int // of each item, by flip
	version like.Version   // of the last flip
}

func newStage(t *testing.T, cfg tasks.NotifyConfig) *stage {
	t.Helper()
	url := privatetest.Postgres(t)
	s := &stage{t: t, redis: privatetest.Redis(t).URL(), reg: prometheus.NewRegistry(), pool: newPool(t, url), likers: map[string]int{}}
	s.ledger = ledger.New(s.pool)
	if err := ledger.Migrate(t.Context(), s.pool); err != nil {
		t.Fatal(err)
	}
	s.exec(`INSERT INTO watermarks (shard) VALUES (0)`)
	s.pg, s.rdb = privatetest.NewProxy(t, url), privatetest.NewProxy(t, s.redis)
	client := redis.NewClient(&redis.Options{Addr: s.rdb.Addr(), ReadTimeout: time.Second})
	t.Cleanup(func() { _ = client.Close() })

	cfg.Window, cfg.Keep, cfg.AllowPrivate = 500*time.Millisecond, 24*time.Hour, true
	cfg.Concurrency = 8
	if cfg.Timeout == 0 {
		cfg.Timeout = 5 * time.Second
	}
	if len(cfg.Receivers) > 0 {
		s.r = cfg.Receivers[0].Name()
	}
	var err error
	s.Notifier, err = tasks.NewNotifier(ledger.New(newPool(t, through(t, url, s.pg))), tasks.NewQueue(client), s.reg, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func newPool(t *testing.T, url string) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// through is url with the proxy's address in it.
func through(t *testing.T, url string, p *privatetest.Proxy) string {
	t.Helper()
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	old := fmt.Sprintf("%s:%d", cfg.ConnConfig.Host, cfg.ConnConfig.Port)
	if !strings.Contains(url, old) {
		t.Fatalf("%s is not in the address of Postgres", old)
	}
	return strings.Replace(url, old, p.Addr(), 1)
}

// run starts the loop and an asynq server for its tasks, until the test ends.
func (s *stage) run() {
	s.t.Helper()
	opt, err := asynq.ParseRedisURI(s.redis)
	if err != nil {
		s.t.Fatal(err)
	}
	srv := asynq.NewServer(opt, asynq.Config{
		Concurrency: 8, Queues: map[string]int{tasks.QueueNotify: 1},
		TaskCheckInterval: 10 * time.Millisecond, ShutdownTimeout: 100 * time.Millisecond, LogLevel: asynq.FatalLevel,
	})
	mux := asynq.NewServeMux()
	mux.HandleFunc(tasks.TypeNotify, s.HandleNotify)
	if err := srv.Start(mux); err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Run(ctx) })
	s.t.Cleanup(func() { cancel(); wg.Wait(); srv.Shutdown() })
}

func (s *stage) exec(sql string, args ...any) {
	s.t.Helper()
	if _, err := s.pool.Exec(s.t.Context(), sql, args...); err != nil {
		s.t.Fatal(err)
	}
}

// flip folds one change of each item: somebody new likes it, or the last one who
// came does no more.
func (s *stage) flip(delta int64, items ...string) {
	s.t.Helper()
	b, err := s.ledger.Begin(s.t.Context(), 0)
	if err != nil {
		s.t.Fatal(err)
	}
	defer b.Rollback(s.t.Context())
	b.Fold(500 * time.Millisecond)
	for _, item := range items {
		s.version++
		last := s.likers[item]
		s.likers[item] += int(delta)
		user := fmt.Sprint("u", max(last, s.likers[item]))
		r := ledger.Row{Item: item, User: user, Liked: delta > 0, Version: s.version}
		if _, err := b.Apply(s.t.Context(), []ledger.Row{r}); err != nil {
			s.t.Fatal(err)
		}
	}
	if err := b.Commit(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

// due closes one notification for receivers at once, without Run.
func (s *stage) due(receivers ...string) int64 {
	s.t.Helper()
	s.flip(1, "item")
	s.exec(`UPDATE item_counts SET closes_at = now() WHERE closes_at IS NOT NULL`)
	if n, err := s.ledger.CloseNotifications(s.t.Context(), receivers, 10); err != nil || n != 1 {
		s.t.Fatal(n, err)
	}
	notes := s.notes()
	return notes[len(notes)-1].Seq
}

// handle runs the task of one attempt.
func (s *stage) handle(ctx context.Context, seq int64, receiver string, attempt int) {
	payload := fmt.Sprintf(`{"seq":%d,"receiver":%q,"attempt":%d}`, seq, receiver, attempt)
	if err := s.HandleNotify(ctx, asynq.NewTask(tasks.TypeNotify, []byte(payload))); err != nil {
		s.t.Error(err)
	}
}

func (s *stage) notes() []like.Notification {
	s.t.Helper()
	notes, err := s.ledger.Notifications(s.t.Context(), 0, 1000)
	if err != nil {
		s.t.Fatal(err)
	}
	return notes
}

func (s *stage) delivery(seq int64, receiver string) ledger.Delivery {
	s.t.Helper()
	d, err := s.ledger.Delivery(s.t.Context(), seq, receiver)
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

// metric is the value of one of plusone_notification…'s counters or gauges.
func (s *stage) metric(name, result string) float64 {
	s.t.Helper()
	families, err := s.reg.Gather()
	if err != nil {
		s.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && (result == "" || m.GetLabel()[0].GetValue() == result) {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	s.t.Fatalf("no metric %s{%s}", name, result)
	return 0
}

func soon(t *testing.T, what string, ok func() bool) {
	t.Helper()
	until := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(until) {
			t.Fatalf("not in time: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func verify(t *testing.T, secret string, m told) {
	t.Helper()
	wh, err := webhooks.NewWebhook(secret)
	if err == nil {
		err = wh.Verify(m.body, m.header)
	}
	if err != nil {
		t.Error(err)
	}
}
