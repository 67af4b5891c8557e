package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"plusone/migrations"
)

const (
	migrationsTable = "plusone_migrations"
	// migrationsLock is the advisory lock that migrators hold: "plusone" in bytes.
	migrationsLock = 0x706c75736f6e65
)

// Migrate brings the schema up to this binary's, and does nothing when it is
// there already or newer. Migrators that run at once wait for each other, looking
// every second. The pool needs two connections. Errors: like.ErrUnavailable.
func Migrate(ctx context.Context, pool *pgxpool.Pool) error {
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockID(migrationsLock), lock.WithLockTimeout(1, 300))
	if err != nil {
		return fmt.Errorf("ledger: migrate: %w", err)
	}
	return failed("migrate", withGoose(pool, func(p *goose.Provider) error {
		_, err := p.Up(ctx)
		return err
	}, goose.WithSessionLocker(locker)))
}

func withGoose(pool *pgxpool.Pool, do func(*goose.Provider) error, opts ...goose.ProviderOption) (err error) {
	db := stdlib.OpenDBFromPool(pool)
	defer func(db *sql.DB) { err = errors.Join(err, db.Close()) }(db)
	opts = append(opts, goose.WithTableName(migrationsTable), goose.WithDisableGlobalRegistry(true),
		goose.WithLogger(goose.NopLogger()))
	p, err := goose.NewProvider(goose.DialectPostgres, db, migrations.FS, opts...)
	if err != nil {
		return err
	}
	return do(p)
}

// Migration is one step of the schema, as this binary and the ledger know it.
type Migration struct {
	Version int64
	Name    string    // of its file; "" for a step that this binary does not know
	At      time.Time // when it was applied; zero while it was not
}

// MigrationStatus lists the steps in order, those applied by a newer binary
// included. It changes nothing. Errors: like.ErrUnavailable.
func MigrationStatus(ctx context.Context, pool *pgxpool.Pool) ([]Migration, error) {
	steps, err := known()
	if err != nil {
		return nil, err
	}
	there, err := hasMigrations(ctx, pool)
	if err != nil || !there {
		return steps, failed("migration status", err)
	}
	rows, err := pool.Query(ctx, `
		SELECT version_id, max(tstamp) FROM plusone_migrations
		 WHERE is_applied AND version_id > 0 GROUP BY version_id ORDER BY version_id`)
	if err != nil {
		return nil, failed("migration status", err)
	}
	defer rows.Close()
	for rows.Next() {
		var m Migration
		if err := rows.Scan(&m.Version, &m.At); err != nil {
			return nil, failed("migration status", err)
		}
		steps = apply(steps, m)
	}
	return steps, failed("migration status", rows.Err())
}

// known lists the steps of this binary, in order.
func known() ([]Migration, error) {
	names, err := fs.Glob(migrations.FS, "*.sql")
	if err != nil {
		return nil, fmt.Errorf("ledger: list migrations: %w", err)
	}
	steps := make([]Migration, 0, len(names))
	for _, name := range names {
		v, err := goose.NumericComponent(name)
		if err != nil {
			return nil, fmt.Errorf("ledger: list migrations: %w", err)
		}
		steps = append(steps, Migration{Version: v, Name: name})
	}
	return steps, nil
}

// apply marks m's step as applied, or appends m when the binary has no such step.
func apply(steps []Migration, m Migration) []Migration {
	for i := range steps {
		if steps[i].Version == m.Version {
			steps[i].At = m.At
			return steps
		}
	}
	return append(steps, m)
}

func hasMigrations(ctx context.Context, pool *pgxpool.Pool) (there bool, err error) {
	err = pool.QueryRow(ctx, `SELECT to_regclass('plusone_migrations') IS NOT NULL`).Scan(&there)
	return there, err
}

// CheckSchema reports whether this binary can work on the ledger's tables, and
// changes nothing. A newer schema is fine, since a migration only adds what older
// binaries ignore; it is noted in the log. Errors: ErrOldSchema with both
// versions, like.ErrUnavailable.
func (l *Ledger) CheckSchema(ctx context.Context) error {
	steps, err := MigrationStatus(ctx, l.pool)
	if err != nil {
		return err
	}
	var has, needs int64
	for _, m := range steps {
		switch {
		case m.Name == "":
			slog.InfoContext(ctx, "the ledger's schema is newer than this binary", "version", m.Version)
		case m.At.IsZero():
			needs = m.Version
		default:
			has = m.Version
		}
	}
	if needs > 0 {
		return fmt.Errorf("%w: it is at version %d, this binary needs %d; run: plusone migrate",
			ErrOldSchema, has, needs)
	}
	return nil
}
