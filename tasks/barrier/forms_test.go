package barrier_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"plusone/scripts/dev/private/privatetest"
	"plusone/tasks/barrier"
	"plusone/tasks/barrier/pgbarrier"
	"plusone/tasks/barrier/redisbarrier"
)

// The work of these tests writes its step into a journal. Its items say what a
// try comes to for good, its receipts what this call comes to.
const (
	no    = "no"    // item: tries are rejected
	later = "later" // receipt: not now
	fails = "fails" // receipt: an error
)

// form is a barrier around the journal.
type form interface {
	do(context.Context, barrier.Step, []barrier.Op) ([]barrier.Answer, error)
	journal(t testing.TB, saga string) []string
}

var errWork = errors.New("the work has failed")

type pgForm struct {
	pgbarrier.Barrier
	*pgxpool.Pool
}

func newPool(t testing.TB, url string) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), url)
	must(t, err)
	t.Cleanup(pool.Close)
	return pool
}

func newPgForm(t testing.TB) (*pgForm, string) {
	t.Helper()
	url := privatetest.Postgres(t)
	pool := newPool(t, url)
	must(t, pgbarrier.Install(t.Context(), pool))
	_, err := pool.Exec(t.Context(), `CREATE TABLE journal (n bigserial, saga text, step text)`)
	must(t, err)
	return &pgForm{Barrier: pgbarrier.New("journal"), Pool: pool}, url
}

func (f *pgForm) do(ctx context.Context, step barrier.Step, ops []barrier.Op) ([]barrier.Answer, error) {
	return f.Run(ctx, f.Pool, step, ops, f.work(step))
}

func (f *pgForm) work(step barrier.Step) pgbarrier.Work {
	return func(ctx context.Context, tx pgx.Tx, ops []barrier.Op) ([]barrier.Answer, error) {
		answers := make([]barrier.Answer, len(ops))
		for i, op := range ops {
			switch {
			case op.Receipt == later:
				answers[i] = op.Retry(later)
				continue
			case op.Item == no && op.Receipt == "":
				answers[i] = op.Rejected(no)
				continue
			}
			answers[i] = op.Done()
			if _, err := tx.Exec(ctx, `INSERT INTO journal (saga, step) VALUES ($1, $2)`, op.Saga, step); err != nil {
				return nil, err
			}
			if op.Receipt == fails { // after the write, so that it shows
				return nil, errWork
			}
		}
		return answers, nil
	}
}

func (f *pgForm) journal(t testing.TB, saga string) []string {
	t.Helper()
	rows, err := f.Query(t.Context(), `SELECT step FROM journal WHERE saga = $1 ORDER BY n`, saga)
	must(t, err)
	steps, err := pgx.CollectRows(rows, pgx.RowTo[string])
	must(t, err)
	return slices.Clip(steps)
}

type redisForm struct {
	*redisbarrier.Barrier
	*redis.Client
}

func newRedisForm(t testing.TB) (*redisForm, string) {
	t.Helper()
	url := privatetest.Redis(t).URL()
	opt, err := redis.ParseURL(url)
	must(t, err)
	rdb := redis.NewClient(opt)
	t.Cleanup(func() { _ = rdb.Close() })
	return &redisForm{redisbarrier.New("journal", testMemory, journalWork), rdb}, url
}

var journalWork = redisbarrier.Work{
	// Three tags, so that a batch has calls of several ops and several calls.
	Keys: func(op barrier.Op) []string {
		return []string{"{" + string('a'+op.Saga[len(op.Saga)-1]%3) + "}journal:" + op.Saga}
	},
	Try: `
		if op.receipt ~= '' then error(op.receipt) end
		if op.item == 'no' then return 'no' end
		redis.call('RPUSH', key[1], 'try')`,
	Compensate: `
		if op.receipt ~= '' then error(op.receipt) end
		redis.call('RPUSH', key[1], 'compensate')`,
}

func (f *redisForm) do(ctx context.Context, step barrier.Step, ops []barrier.Op) ([]barrier.Answer, error) {
	return f.Do(ctx, f.Client, step, ops)
}

func (f *redisForm) journal(t testing.TB, saga string) []string {
	t.Helper()
	steps, err := f.LRange(t.Context(), journalWork.Keys(barrier.Op{Saga: saga})[0], 0, -1).Result()
	must(t, err)
	return steps
}
