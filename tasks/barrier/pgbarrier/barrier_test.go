package pgbarrier_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"plusone/scripts/dev/private/privatetest"
	"plusone/tasks/barrier"
	"plusone/tasks/barrier/pgbarrier"
)

func TestMain(m *testing.M) { privatetest.Main(m, privatetest.NoLeaks) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var b = pgbarrier.New("points")

// trips counts the round trips of a connection.
type trips struct{ n atomic.Int64 }

func (c *trips) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	c.n.Add(1)
	return ctx
}
func (c *trips) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
func (c *trips) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	c.n.Add(1)
	return ctx
}
func (c *trips) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}
func (c *trips) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData)     {}

// newPool is a database with the barrier and a table of effects, and what counts
// its round trips.
func newPool(t testing.TB) (*pgxpool.Pool, *trips) {
	t.Helper()
	return open(t, privatetest.Postgres(t), true)
}

func open(t testing.TB, url string, install bool) (*pgxpool.Pool, *trips) {
	t.Helper()
	cfg, err := pgxpool.ParseConfig(url)
	must(t, err)
	c := &trips{}
	cfg.ConnConfig.Tracer = c
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	must(t, err)
	t.Cleanup(pool.Close)
	if install {
		must(t, pgbarrier.Install(t.Context(), pool))
		_, err = pool.Exec(t.Context(), `CREATE TABLE effects (saga text, item text CHECK (item <> 'bad'))`)
		must(t, err)
	}
	return pool, c
}

// apply writes an effect per op, in one statement.
func apply(ctx context.Context, tx pgx.Tx, ops []barrier.Op) ([]barrier.Answer, error) {
	answers := make([]barrier.Answer, len(ops))
	var sagas, items []string
	for i, op := range ops {
		answers[i] = op.Done()
		sagas, items = append(sagas, op.Saga), append(items, op.Item)
	}
	_, err := tx.Exec(ctx, `INSERT INTO effects SELECT * FROM unnest($1::text[], $2::text[])`, sagas, items)
	return answers, err
}

// undo deletes the effects.
func undo(ctx context.Context, tx pgx.Tx, ops []barrier.Op) ([]barrier.Answer, error) {
	answers := make([]barrier.Answer, len(ops))
	var sagas []string
	for i, op := range ops {
		answers[i] = op.Done()
		sagas = append(sagas, op.Saga)
	}
	_, err := tx.Exec(ctx, `DELETE FROM effects WHERE saga = ANY ($1)`, sagas)
	return answers, err
}

func opsOf(n int) []barrier.Op {
	ops := make([]barrier.Op, n)
	for i := range ops {
		ops[i] = barrier.Op{Saga: fmt.Sprintf("sag_%05d", i), Item: "i", User: "u", Liked: true}
	}
	return ops
}

func count(t testing.TB, pool *pgxpool.Pool, table string) (n int) {
	t.Helper()
	must(t, pool.QueryRow(t.Context(), "SELECT count(*) FROM "+table).Scan(&n))
	return n
}

func results(answers []barrier.Answer) string {
	var all []string
	for _, a := range answers {
		all = append(all, string(a.Result))
	}
	return strings.Join(all, " ")
}

func TestABatchTakesFewRoundTrips(t *testing.T) {
	pool, c := newPool(t)
	ops := opsOf(barrier.MaxOps)
	for _, call := range []struct {
		name string
		step barrier.Step
		work pgbarrier.Work
		most int64 // begin, enter, work, settle, commit
	}{{"a try", barrier.Try, apply, 4}, {"a repeat", barrier.Try, apply, 3}, {"a compensation", barrier.Compensate, undo, 5}} {
		c.n.Store(0)
		_, err := b.Run(t.Context(), pool, call.step, ops, call.work)
		must(t, err)
		if n := c.n.Load(); n > call.most {
			t.Errorf("%s of %d ops took %d round trips", call.name, len(ops), n)
		}
	}
}

func TestACallerWhoIgnoresTheErrorCommitsNothing(t *testing.T) {
	pool, _ := newPool(t)
	broken := errors.New("broken")
	for name, work := range map[string]pgbarrier.Work{
		"an error": func(ctx context.Context, tx pgx.Tx, ops []barrier.Op) ([]barrier.Answer, error) {
			answers, err := apply(ctx, tx, ops)
			return answers, errors.Join(err, broken)
		},
		"an answer too few": func(ctx context.Context, tx pgx.Tx, ops []barrier.Op) ([]barrier.Answer, error) {
			answers, err := apply(ctx, tx, ops)
			return answers[1:], err
		},
		"answers in another order": func(ctx context.Context, tx pgx.Tx, ops []barrier.Op) ([]barrier.Answer, error) {
			answers, err := apply(ctx, tx, ops)
			answers[0], answers[1] = answers[1], answers[0]
			return answers, err
		},
		"no answer": func(ctx context.Context, tx pgx.Tx, ops []barrier.Op) ([]barrier.Answer, error) {
			answers, err := apply(ctx, tx, ops)
			answers[0].Result = ""
			return answers, err
		},
	} {
		tx, err := pool.Begin(t.Context())
		must(t, err)
		if _, err := b.Do(t.Context(), tx, barrier.Try, opsOf(2), work); err == nil {
			t.Errorf("%s: no error", name)
		}
		if err := tx.Commit(t.Context()); err == nil {
			t.Errorf("%s: committed", name)
		}
		if n := count(t, pool, "saga_barriers") + count(t, pool, "effects"); n > 0 {
			t.Errorf("%s: %d rows", name, n)
		}
	}
}

func TestASavepointKeepsTheRestOfTheCallersTransaction(t *testing.T) {
	pool, _ := newPool(t)
	err := pgx.BeginFunc(t.Context(), pool, func(outer pgx.Tx) error {
		if _, err := apply(t.Context(), outer, opsOf(1)); err != nil {
			return err
		}
		inner, err := outer.Begin(t.Context())
		if err != nil {
			return err
		}
		if _, err := b.Do(t.Context(), inner, barrier.Try, []barrier.Op{{Saga: "s", Item: "bad"}}, apply); err == nil {
			t.Error("no error")
		}
		return nil
	})
	must(t, err)
	if effects, records := count(t, pool, "effects"), count(t, pool, "saga_barriers"); effects != 1 || records != 0 {
		t.Errorf("%d effects, %d records", effects, records)
	}
}

func TestABadOpHoldsNoOtherUp(t *testing.T) {
	pool, _ := newPool(t)
	ops := opsOf(20)
	ops[7].Item, ops[8].Item = "bad", "nul\x00"
	answers, err := b.Run(t.Context(), pool, barrier.Try, ops, apply)
	must(t, err)
	for i, a := range answers {
		if bad := i == 7 || i == 8; a.Saga != ops[i].Saga || (a.Result == barrier.Retry) != bad {
			t.Errorf("%d: %+v", i, a)
		}
	}
	if n := count(t, pool, "effects"); n != 18 {
		t.Errorf("%d effects", n)
	}
	answers, err = b.Run(t.Context(), pool, barrier.Compensate, ops, undo)
	if err != nil || results(answers) != strings.TrimSpace(strings.Repeat("done ", 20)) || count(t, pool, "effects") != 0 {
		t.Errorf("%v, %v", results(answers), err)
	}
}

func TestACompensationCannotBeRejected(t *testing.T) {
	pool, _ := newPool(t)
	_, err := b.Run(t.Context(), pool, barrier.Try, opsOf(1), apply)
	must(t, err)
	_, err = b.Run(t.Context(), pool, barrier.Compensate, opsOf(1), func(_ context.Context, _ pgx.Tx, ops []barrier.Op) ([]barrier.Answer, error) {
		return []barrier.Answer{ops[0].Rejected("no")}, nil
	})
	if err == nil {
		t.Error("no error")
	}
}

func TestABatchThatNamesASagaTwiceIsRefused(t *testing.T) {
	pool, _ := newPool(t)
	if _, err := b.Run(t.Context(), pool, barrier.Try, append(opsOf(1), opsOf(1)...), apply); err == nil {
		t.Error("no error")
	}
}

func TestARejectionIsRepeatedWithItsReason(t *testing.T) {
	pool, _ := newPool(t)
	why := "closed\x00" + strings.Repeat("é", 300)
	for range 2 {
		answers, err := b.Run(t.Context(), pool, barrier.Try, opsOf(1), func(_ context.Context, _ pgx.Tx, ops []barrier.Op) ([]barrier.Answer, error) {
			return []barrier.Answer{{Saga: ops[0].Saga, Result: barrier.Rejected, Reason: why}}, nil
		})
		must(t, err)
		if a := answers[0]; a.Result != barrier.Rejected || !strings.HasPrefix(a.Reason, "closed?é") || len(a.Reason) > 200 {
			t.Errorf("%+v", a)
		}
		why = "another reason, of a work that must not run"
	}
}

func TestParticipantsOfOneDatabaseDoNotMeet(t *testing.T) {
	pool, _ := newPool(t)
	for _, participant := range []string{"a", "b"} {
		_, err := pgbarrier.New(participant).Run(t.Context(), pool, barrier.Try, opsOf(1), apply)
		must(t, err)
	}
	if n := count(t, pool, "effects"); n != 2 {
		t.Errorf("%d effects", n)
	}
}

func TestProcessesThatStartAtOnceInstallTheBarrierOnce(t *testing.T) {
	url := privatetest.Postgres(t)
	var all sync.WaitGroup
	for range 8 {
		pool, _ := open(t, url, false)
		all.Go(func() {
			if err := pgbarrier.Install(t.Context(), pool); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

func TestPruningForgetsWhatIsOldAndNobodyHolds(t *testing.T) {
	pool, _ := newPool(t)
	_, err := b.Run(t.Context(), pool, barrier.Try, opsOf(10), apply)
	must(t, err)
	_, err = pgbarrier.New("another").Run(t.Context(), pool, barrier.Try, opsOf(1), apply)
	must(t, err)
	_, err = pool.Exec(t.Context(), `UPDATE saga_barriers SET at = now() - interval '3 days' WHERE saga < 'sag_00006'`)
	must(t, err)
	tx, err := pool.Begin(t.Context())
	must(t, err)
	_, err = b.Do(t.Context(), tx, barrier.Compensate, opsOf(1), undo)
	must(t, err)
	for _, want := range []int64{2, 2, 1, 0} { // one of the six is held
		if n, err := b.Prune(t.Context(), pool, 48*time.Hour, 2); err != nil || n != want {
			t.Errorf("%d, not %d: %v", n, want, err)
		}
	}
	must(t, tx.Commit(t.Context()))
	if n := count(t, pool, "saga_barriers"); n != 6 {
		t.Errorf("%d records are left", n)
	}
}
