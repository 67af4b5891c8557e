package saga_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"plusone/hotpath/counter"
	"plusone/hotpath/like"
	"plusone/scripts/dev/private/privatetest"
	"plusone/tasks"
	"plusone/tasks/ledger"
	"plusone/tasks/saga"
)

func TestMain(m *testing.M) { privatetest.Main(m, privatetest.NoLeaks) }

const (
	shards  = 4
	secret  = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="
	timeout = 300 * time.Millisecond
)

// tb is what tests and rapid's have in common.
type tb interface {
	Helper()
	Fatalf(format string, args ...any)
	Context() context.Context
}

// works is the whole way of a like with participants, on stores of its own. Steps
// are made by hand: nothing runs beside them.
type works struct {
	*counter.Counter
	t       testing.TB
	rdb     *redis.Client
	log     *counter.Log
	pool    *pgxpool.Pool
	ledger  *ledger.Ledger
	drainer *tasks.Drainer
	asked   []*participant
	engine  *saga.Engine

	mu   sync.Mutex
	made map[string]int // likes by user that changed something
}

func newWorks(t testing.TB, names ...string) *works {
	t.Helper()
	return newWorksOf(t, counter.Options{}, names...)
}

func newWorksOf(t testing.TB, options counter.Options, names ...string) *works {
	t.Helper()
	opt, err := redis.ParseURL(privatetest.Redis(t).URL())
	check(t, err)
	w := &works{t: t, rdb: redis.NewClient(opt), made: map[string]int{}}
	t.Cleanup(func() { _ = w.rdb.Close() })
	w.log = counter.NewLog(w.rdb, shards)
	w.pool, err = pgxpool.New(t.Context(), privatetest.Postgres(t))
	check(t, err)
	t.Cleanup(w.pool.Close)
	w.ledger = ledger.New(w.pool).With(names)
	check(t, ledger.Migrate(t.Context(), w.pool))
	_, err = w.ledger.Layout(t.Context(), shards)
	check(t, err)
	window := time.Duration(0)
	if len(names) == 0 {
		window = time.Hour
	}
	w.drainer = tasks.NewDrainer(w.log, w.ledger, window, prometheus.NewRegistry())
	options.Shards, options.Quota = shards, like.Quota{Likes: 1e6, Window: quotaWindow}
	w.Counter, err = counter.New(redis.UniversalOptions{Addrs: []string{opt.Addr}}, w.ledger, options)
	check(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		check(t, w.Close(ctx))
	})
	for _, name := range names {
		w.asked = append(w.asked, newParticipant(t, name))
	}
	w.engine = w.newEngine(w.ledger)
	return w
}

func (w *works) config() saga.Config {
	cfg := saga.Config{
		Timeout: timeout, ResumeAfter: time.Hour, Patience: 24 * time.Hour, Window: time.Hour, Keep: time.Hour,
		Quota: true,
	}
	for _, p := range w.asked {
		cfg.Participants = append(cfg.Participants, saga.Participant{
			Name: p.name, Receiver: tasks.Receiver{URL: p.URL, Secrets: []string{secret}},
		})
	}
	return cfg
}

func (w *works) newEngine(records saga.Records) *saga.Engine {
	e, err := saga.New(records, w.log, w.Counter, func(...int) {}, prometheus.NewRegistry(), w.config())
	check(w.t, err)
	w.t.Cleanup(e.Close)
	return e
}

func check(t tb, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v", err)
	}
}

// want applies one state for a pair.
func (w *works) want(t tb, item, user string, want like.Want) like.Result {
	t.Helper()
	results := make([]like.Result, 1)
	for until := time.Now().Add(20 * time.Second); ; { // a Redis that stands still for a second has applied nothing
		check(t, w.Apply(t.Context(), []like.Op{{Item: item, User: user, Want: want}}, results))
		if !errors.Is(results[0].Err, like.ErrUnavailable) || time.Now().After(until) {
			break
		}
	}
	check(t, results[0].Err)
	if results[0].Changed && results[0].Liked {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.made[user]++
	}
	return results[0]
}

func (w *works) drain(t tb) {
	t.Helper()
	for s := range shards {
		w.drainOne(t, s)
	}
}

// drainOne drains a shard; what an engine appends meanwhile is left to the next.
func (w *works) drainOne(t tb, shard int) {
	t.Helper()
	if err := w.drainer.Drain(t.Context(), shard); !errors.Is(err, tasks.ErrUnfinished) {
		check(t, err)
	}
}

// turn makes what is due of every lane, once.
func (w *works) turn(t tb, e *saga.Engine) {
	t.Helper()
	for _, p := range w.asked {
		_, err := e.Turn(t.Context(), p.name)
		check(t, err)
	}
	_, err := e.Turn(t.Context(), "")
	check(t, err)
}

// later lets time pass for all sagas that have not ended.
func (w *works) later(t tb, d time.Duration) {
	t.Helper()
	_, err := w.pool.Exec(t.Context(), `
		UPDATE sagas SET next_at = next_at - $1::interval, claimed_until = claimed_until - $1::interval, since = since - $1::interval, made_at = made_at - $1::interval
		 WHERE ended_at IS NULL`, d)
	check(t, err)
}

// settle drains and makes steps until every saga has ended or is stuck.
func (w *works) settle(t tb, e *saga.Engine) {
	t.Helper()
	for range 60 {
		w.drain(t)
		w.turn(t, e)
		if w.number(t, `SELECT count(*) FROM sagas WHERE ended_at IS NULL AND state <> 'stuck'`) == 0 && w.entries(t) == 0 {
			return
		}
		w.later(t, 6*time.Minute)
	}
	t.Fatalf("it does not settle: %v", w.sagas(t))
}

func (w *works) entries(t tb) (n int64) {
	t.Helper()
	for s := range shards {
		tail, err := w.log.Tail(t.Context(), s)
		check(t, err)
		n += tail.Len
	}
	return n
}

func (w *works) number(t tb, sql string, args ...any) (n int64) {
	t.Helper()
	check(t, w.pool.QueryRow(t.Context(), sql, args...).Scan(&n))
	return n
}

// sagas lists what there is, a line each, in the order of versions.
func (w *works) sagas(t tb) []string {
	t.Helper()
	rows, err := w.pool.Query(t.Context(), `
		SELECT concat_ws(' ', item_id, user_id, CASE WHEN liked THEN '+' ELSE '-' END, state, 'step', step,
		                 'by', rejected_by, reason, 'error', last_error) FROM sagas ORDER BY version`)
	check(t, err)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	check(t, err)
	return lines
}

// states are those of a pair's sagas, in their order.
func (w *works) states(t tb, item, user string) string {
	t.Helper()
	var states string
	check(t, w.pool.QueryRow(t.Context(), `
		SELECT coalesce(string_agg(CASE WHEN liked THEN '+' ELSE '-' END || state, ' ' ORDER BY version), '')
		  FROM sagas WHERE item_id = $1 AND user_id = $2`, item, user).Scan(&states))
	return states
}

// agree fails unless Redis, the ledger and the books of every participant name
// the same likers of each item, and the counts and the news are right.
func (w *works) agree(t tb, items ...string) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for _, item := range items {
		key := "p1:{" + strconv.Itoa(counter.ShardOf(item, shards)) + "}:"
		inRedis, err := w.rdb.SMembers(t.Context(), key+"likers:"+item).Result()
		check(t, err)
		slices.Sort(inRedis)
		counted, err := w.rdb.HGet(t.Context(), key+"counts", item).Int()
		check(t, err)
		rows, err := w.pool.Query(t.Context(), `SELECT user_id FROM likes WHERE item_id = $1 AND liked ORDER BY 1`, item)
		check(t, err)
		inLedger, err := pgx.CollectRows(rows, pgx.RowTo[string])
		check(t, err)
		count := w.number(t, `SELECT coalesce((SELECT count FROM item_counts WHERE item_id = $1), 0)`, item)
		if !slices.Equal(inRedis, inLedger) || counted != len(inRedis) || int(count) != len(inLedger) {
			t.Fatalf("%s: Redis has %v (count %d), the ledger %v (count %d)", item, inRedis, counted, inLedger, count)
		}
		for _, p := range w.asked {
			if held := p.likers(item); !slices.Equal(held, inLedger) {
				t.Fatalf("%s: the ledger has %v, %s has %v; sagas %q", item, inLedger, p.name, held, w.sagas(t))
			}
		}
		told := w.number(t, `
			SELECT coalesce((SELECT sum(delta) FROM notifications WHERE item_id = $1), 0)
			     + coalesce((SELECT delta FROM item_counts WHERE item_id = $1 AND closes_at IS NOT NULL), 0)`, item)
		if told != count {
			t.Fatalf("%s: receivers are told of %d, the count is %d; sagas %q", item, told, count, w.sagas(t))
		}
		all[item] = inLedger
	}
	return all
}

func users(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("u%03d", i))
	}
	return all
}
