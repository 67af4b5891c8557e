package doctor_test

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"plusone/cmd/internal/doctor"
	"plusone/scripts/dev/private"
	"plusone/scripts/dev/private/privatetest"
)

func TestEachSettingOfADatabaseIsSeen(t *testing.T) {
	where, pool := migrated(t)
	s := defaults(awayRedis, where)
	name := pool.Config().ConnConfig.Database
	for _, fault := range []struct {
		set, reset, check string
		level             doctor.Level
		part              string
	}{
		{"SET synchronous_commit = off", "RESET synchronous_commit", "postgres.commit", doctor.Wrong, "takes back"},
		{"SET default_transaction_read_only = on", "RESET default_transaction_read_only", "postgres.writes", doctor.Wrong, "read-only"},
		{"CONNECTION LIMIT 10", "CONNECTION LIMIT -1", "postgres.connections", doctor.Warning, "of 10 are free"},
	} {
		execute(t, pool, "ALTER DATABASE "+name+" "+fault.set)
		want(t, s, fault.check, fault.level, fault.part)
		execute(t, pool, "ALTER DATABASE "+name+" "+fault.reset)
		want(t, s, fault.check, doctor.OK, "")
	}
}

func TestADatabaseThatCannotHoldAllIdsIsWrong(t *testing.T) {
	where, pool := migrated(t)
	execute(t, pool, "CREATE DATABASE ascii ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
	t.Cleanup(func() { _, _ = pool.Exec(context.Background(), "DROP DATABASE ascii WITH (FORCE)") })
	u, err := url.Parse(where)
	check(t, err)
	u.Path = "/ascii"
	want(t, defaults(awayRedis, u.String()), "postgres.encoding", doctor.Wrong, "SQL_ASCII")
	want(t, defaults(awayRedis, where), "postgres.encoding", doctor.OK, "UTF8")
}

func TestAnOlderSchemaIsWrongAndItsTablesAreNotAsked(t *testing.T) {
	s := defaults(awayRedis, privatetest.Postgres(t))
	want(t, s, "postgres.schema", doctor.Wrong, "run: plusone migrate")
	report, err := doctor.Examine(t.Context(), s, time.Now)
	check(t, err)
	if report.Wrong != 3 { // Redis away, fsync off, the schema
		t.Errorf("%+v", report)
	}
}

// server starts a Postgres that syncs, which those of most tests do not.
func server(t *testing.T) (*private.Postgres, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	dir := privatetest.Directory(t)
	p, err := private.StartPostgres(ctx, private.PostgresOptions{Dir: dir})
	check(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		check(t, p.Stop(ctx))
	})
	return p, dir
}

func TestAServerThatDoesNotSyncOrIsAStandbyIsWrong(t *testing.T) {
	p, dir := server(t)
	s := defaults(awayRedis, p.URL())
	pool, err := pgxpool.New(t.Context(), p.URL())
	check(t, err)
	defer pool.Close()
	for _, fault := range []struct {
		setting, check string
		level          doctor.Level
	}{{"fsync", "postgres.fsync", doctor.Wrong}, {"full_page_writes", "postgres.pages", doctor.Warning}} {
		want(t, s, fault.check, doctor.OK, "on")
		execute(t, pool, "ALTER SYSTEM SET "+fault.setting+" = off")
		reload(t, pool, fault.setting, "off")
		want(t, s, fault.check, fault.level, "power loss")
		execute(t, pool, "ALTER SYSTEM RESET "+fault.setting)
		reload(t, pool, fault.setting, "on")
	}
	pool.Close()

	want(t, s, "postgres.writes", doctor.OK, "primary")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	check(t, p.Stop(ctx))
	check(t, os.WriteFile(filepath.Join(dir, "data", "standby.signal"), nil, 0o644))
	check(t, p.Restart(ctx))
	want(t, s, "postgres.writes", doctor.Wrong, "a standby")
}

func reload(t *testing.T, pool *pgxpool.Pool, setting, value string) {
	t.Helper()
	execute(t, pool, "SELECT pg_reload_conf()")
	until := time.Now().Add(20 * time.Second)
	for got := ""; got != value; {
		if time.Now().After(until) {
			t.Fatalf("%s stays %s", setting, got)
		}
		check(t, pool.QueryRow(t.Context(), "SELECT current_setting($1)", setting).Scan(&got))
	}
}
