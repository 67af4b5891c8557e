package barrier_test

import (
	"context"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"plusone/scripts/dev/private/privatetest"
	"plusone/tasks/barrier"
)

// faults are what happens to a network just before a commit, or a script: its
// answer is lost, or it never gets there.
var faults = map[string]struct {
	strike  func(*privatetest.Proxy)
	applied bool
}{
	"the answer is lost": {func(p *privatetest.Proxy) { p.DropReplies(true) }, true},
	"it never arrives":   {func(p *privatetest.Proxy) { p.Cut(true) }, false},
}

// calls are a step, what the journal says before it and after it.
var calls = []struct {
	step          barrier.Step
	before, after []string
}{
	{barrier.Try, nil, []string{"try"}},
	{barrier.Compensate, []string{"try"}, []string{"try", "compensate"}},
}

const patience = time.Second

func TestATransactionThatIsCutOffLeavesAllOrNothing(t *testing.T) {
	f, url := newPgForm(t)
	p := privatetest.NewProxy(t, url)
	to := f.Config().ConnConfig
	through := strings.Replace(url, net.JoinHostPort(to.Host, strconv.Itoa(int(to.Port))), p.Addr(), 1)
	for name, fault := range faults {
		op := barrier.Op{Saga: "sag_" + name, Item: "yes", User: "u"}
		for _, call := range calls {
			p.Cut(false)
			p.DropReplies(false)
			far := &pgForm{Barrier: f.Barrier, Pool: newPool(t, through)}
			tx, err := far.Begin(t.Context())
			must(t, err)
			_, err = far.Barrier.Do(t.Context(), tx, call.step, []barrier.Op{op}, far.work(call.step))
			must(t, err)
			fault.strike(p)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			if err := tx.Commit(ctx); err == nil {
				t.Fatalf("%s, %s: the commit was answered", call.step, name)
			}
			cancel()
			settles(t, f, op, call.step, fault.applied, call.before, call.after)
		}
	}
}

func TestAScriptWhoseConnectionBreaksRunsOnce(t *testing.T) {
	f, url := newRedisForm(t)
	p := privatetest.NewProxy(t, url)
	for name, fault := range faults {
		op := barrier.Op{Saga: "sag_" + name, Item: "yes", User: "u"}
		for _, call := range calls {
			p.Cut(false)
			p.DropReplies(false)
			rdb := redis.NewClient(&redis.Options{Addr: p.Addr(), MaxRetries: -1, DialerRetries: 1, ReadTimeout: patience})
			t.Cleanup(func() { _ = rdb.Close() })
			must(t, rdb.Ping(t.Context()).Err()) // is connected before the fault
			must(t, f.load(t))
			fault.strike(p)
			answers, err := (&redisForm{f.Barrier, rdb}).do(t.Context(), call.step, []barrier.Op{op})
			if err != nil || answers[0].Result != barrier.Retry {
				t.Fatalf("%s, %s: %+v, %v", call.step, name, answers, err)
			}
			settles(t, f, op, call.step, fault.applied, call.before, call.after)
		}
	}
}

// load makes the server know the script, so that it takes one exchange.
func (f *redisForm) load(t testing.TB) error {
	_, err := f.do(t.Context(), barrier.Compensate, []barrier.Op{{Saga: "sag_any", Item: "yes", User: "u"}})
	return err
}

// settles fails unless the step was applied, or not, and is so exactly once when
// it is asked for again.
func settles(t testing.TB, f form, op barrier.Op, step barrier.Step, applied bool, before, after []string) {
	t.Helper()
	want := before
	if applied {
		want = after
	}
	await(t, "the journal is what the fault leaves", func() bool { return slices.Equal(f.journal(t, op.Saga), want) })
	for range 2 {
		answers, err := f.do(t.Context(), step, []barrier.Op{op})
		if err != nil || answers[0].Result != barrier.Done {
			t.Fatalf("%s again: %+v, %v", step, answers, err)
		}
	}
	if got := f.journal(t, op.Saga); !slices.Equal(got, after) {
		t.Fatalf("after %s again the journal has %v", step, got)
	}
}

// TestARepeatWaitsForTheCallThatIsAtIt: whether that commits or not, the effect is
// there once.
func TestARepeatWaitsForTheCallThatIsAtIt(t *testing.T) {
	f, _ := newPgForm(t)
	for name, end := range map[string]func(context.Context, pgx.Tx) error{
		"commits":    func(ctx context.Context, tx pgx.Tx) error { return tx.Commit(ctx) },
		"rolls back": func(ctx context.Context, tx pgx.Tx) error { return tx.Rollback(ctx) },
	} {
		ops := []barrier.Op{{Saga: "sag_" + name, Item: "yes", User: "u"}}
		tx, err := f.Begin(t.Context())
		must(t, err)
		_, err = f.Barrier.Do(t.Context(), tx, barrier.Try, ops, f.work(barrier.Try))
		must(t, err)
		said := make(chan error, 1)
		go func() {
			answers, err := f.do(t.Context(), barrier.Try, ops)
			if err == nil && answers[0].Result != barrier.Done {
				t.Errorf("%s: %+v", name, answers)
			}
			said <- err
		}()
		await(t, "the repeat waits", func() bool {
			var n int
			must(t, f.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`).Scan(&n))
			return n == 1
		})
		must(t, end(t.Context(), tx))
		must(t, <-said)
		if got := f.journal(t, ops[0].Saga); !slices.Equal(got, []string{"try"}) {
			t.Errorf("%s: the journal has %v", name, got)
		}
	}
}

// await waits for ok, which the system reaches on its own.
func await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for until := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("it never came to be that %s", what)
		}
	}
}
