package doctor

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"plusone/cmd/internal/settings"
	"plusone/cmd/internal/stores"
	"plusone/tasks/ledger"
)

// askTime bounds each question to a store.
const askTime = 5 * time.Second

// Settings are those of plusone serve, whether the doctor looks at them or not: a
// command line that is right for the one is right for the other.
type Settings struct {
	settings.Stores    `group:"Stores"`
	settings.Internal  `group:"Internal listener"`
	settings.Reconcile `group:"Reconciler"`
	settings.Worker    `group:"Worker"`
	settings.Notify    `group:"Notifications"`
	settings.Sagas     `group:"Participants"`
	settings.HTTP      `group:"Public listener"`
	settings.Auth      `group:"Identity"`
	settings.Limits    `group:"Limits"`
	settings.Rates     `group:"Rate limits"`
}

// exam is one examination. What could not be opened is nil.
type exam struct {
	Settings
	now    func() time.Time
	report Report

	redis  *stores.Redis
	facts  stores.Facts
	pool   *pgxpool.Pool
	ledger *ledger.Ledger
	works  bool // Redis is there and takes writes
	schema bool // the ledger is there and its tables are this binary's
}

// Examine looks at everything. now is this machine's clock. The error is that a
// store's URL can't be read (stores.ErrURL), or that ctx ended.
func Examine(ctx context.Context, s Settings, now func() time.Time) (Report, error) {
	e := &exam{Settings: s, now: now, report: Report{At: now().UTC()}}
	defer e.close()
	for _, part := range []func(context.Context) error{e.openRedis, e.openPostgres, e.clocks, e.shards, e.troubles, e.worker} {
		if err := part(ctx); err != nil {
			return e.report, err
		}
	}
	e.report.add(e.identity()...)
	e.report.add(e.network()...)
	return e.report, ctx.Err()
}

func (e *exam) close() {
	if e.redis != nil {
		_ = e.redis.Close() // what matters has been answered
	}
	if e.pool != nil {
		e.pool.Close()
	}
}

// ask runs one question in its time. A failure is the check's finding.
func (e *exam) ask(ctx context.Context, check string, question func(context.Context) error) bool {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	if err := question(ctx); err != nil {
		e.report.add(wrong(check, "see the error; then run doctor again", "could not be looked at: %s", stores.Words(err)))
		return false
	}
	return true
}

func (e *exam) openRedis(ctx context.Context) error {
	r, err := stores.OpenRedis(ctx, e.RedisURL, true)
	if errors.Is(err, stores.ErrURL) {
		return err
	}
	if err != nil {
		e.report.add(wrong("redis.reach", "start it, or correct --redis-url; without Redis likes go straight to Postgres, slower", "%v", err))
		return nil
	}
	e.redis = r
	if !e.ask(ctx, "redis.reach", func(ctx context.Context) (err error) {
		e.facts, err = r.Facts(ctx)
		return err
	}) {
		return nil
	}
	e.works = e.facts.Refuses() == nil
	e.report.add(ok("redis.reach", "%s answers", r.Addr()))
	e.report.add(e.redisServer()...)
	return nil
}

func (e *exam) openPostgres(ctx context.Context) error {
	pool, err := stores.OpenPostgres(ctx, e.PostgresURL, stores.PostgresOptions{Conns: 2})
	if errors.Is(err, stores.ErrURL) {
		return err
	}
	if err != nil {
		e.report.add(wrong("postgres.reach", "start it, or correct --postgres-url; until then likes wait in Redis and cold items answer 503", "%v", err))
		return nil
	}
	e.pool, e.ledger = pool, ledger.New(pool)
	e.report.add(ok("postgres.reach", "%s answers", stores.PostgresAddr(pool.Config())))
	e.postgresServer(ctx)
	return nil
}
