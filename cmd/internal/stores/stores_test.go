package stores_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/jackc/pgx/v5/pgconn"

	"plusone/cmd/internal/stores"
	"plusone/hotpath/like"
	"plusone/scripts/dev/private/privatetest"
)

func TestMain(m *testing.M) { privatetest.Main(m, privatetest.NoLeaks) }

func TestARedisThatMayEvictIsRefusedUnlessUnsafeIsAsked(t *testing.T) {
	url := privatetest.Redis(t).URL()
	r, err := stores.OpenRedis(t.Context(), url, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Client().ConfigSet(t.Context(), "maxmemory-policy", "allkeys-lru").Err(); err != nil {
		t.Fatal(err)
	}
	_ = r.Close()
	_, err = stores.OpenRedis(t.Context(), url, false)
	if !errors.Is(err, stores.ErrUnsafe) || !strings.Contains(err.Error(), "CONFIG SET maxmemory-policy noeviction") {
		t.Fatalf("error: %v", err)
	}
	r, err = stores.OpenRedis(t.Context(), url, true)
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Close()
}

func TestThePromiseFollowsWhatRedisIsSetTo(t *testing.T) {
	r, err := stores.OpenRedis(t.Context(), privatetest.Redis(t).URL(), false)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	for _, step := range []struct{ name, value, want string }{
		{"appendfsync", "always", "survive a crash and a power loss"},
		{"appendfsync", "everysec", "the last second"},
		{"appendonly", "no", "loses acknowledged likes"},
	} {
		if err := r.Client().ConfigSet(t.Context(), step.name, step.value).Err(); err != nil {
			t.Fatal(err)
		}
		got, err := r.Promise(t.Context())
		if err != nil || !strings.Contains(got, step.want) {
			t.Errorf("%s %s: %q, %v", step.name, step.value, got, err)
		}
	}
}

func TestARedisInMemoryPromisesNothing(t *testing.T) {
	m := miniredis.RunT(t)
	if _, err := stores.OpenRedis(t.Context(), "redis://"+m.Addr(), false); err == nil {
		t.Fatal("opened without --unsafe")
	}
	r, err := stores.OpenRedis(t.Context(), "redis://"+m.Addr(), true)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	if got, err := r.Promise(t.Context()); err != nil || !strings.Contains(got, "unknown") {
		t.Errorf("%q, %v", got, err)
	}
}

func TestErrorsSayWhatToDoAndHoldNoPassword(t *testing.T) {
	for _, url := range []string{"redis://u:hunter2@127.0.0.1:1/0", "redis://u:hunter2@%zz", "unix://u:hunter2@/x", "http://u:hunter2@x"} {
		_, err := stores.OpenRedis(t.Context(), url, false)
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", url, err)
		}
	}
	for _, url := range []string{"postgres://u:hunter2@127.0.0.1:1/x", "postgres://u:hunter2@127.0.0.1:99999999/x", "u:hunter2@x"} {
		_, err := stores.OpenPostgres(t.Context(), url, stores.PostgresOptions{Conns: 2})
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestWhatCannotBeReachedIsToldInALineOfPlainWords(t *testing.T) {
	postgres := privatetest.Postgres(t)
	for url, want := range map[string]string{
		"postgres://u:p@127.0.0.1:1/x":              "Postgres at 127.0.0.1:1 can't be reached: connection refused; is it running, and is --postgres-url right?",
		"postgres://u:p@nobody.invalid:1/x":         "",
		other(t, postgres, "user", "hunter2"):       "are user and password in --postgres-url right?",
		other(t, postgres, "database", "elsewhere"): "\"elsewhere\" does not exist; create it, or correct --postgres-url",
		other(t, postgres, "tls", ""):               "server refused TLS connection",
	} {
		_, err := stores.OpenPostgres(t.Context(), url, stores.PostgresOptions{Conns: 2})
		inPlainWords(t, err, want)
	}
	rds := privatetest.Redis(t).URL()
	for url, want := range map[string]string{
		"redis://127.0.0.1:1":                           "Redis at 127.0.0.1:1 can't be reached: connection refused; is it running, and is --redis-url right?",
		"redis://nobody.invalid:1":                      "",
		strings.Replace(rds, "://", "://u:hunter2@", 1): "refuses: WRONGPASS",
	} {
		_, err := stores.OpenRedis(t.Context(), url, false)
		inPlainWords(t, err, want)
	}
}

// other is a URL of the same Postgres that can't be used.
func other(t *testing.T, postgres, what, value string) string {
	t.Helper()
	u, err := url.Parse(postgres)
	if err != nil {
		t.Fatal(err)
	}
	switch what {
	case "user":
		u.User = url.UserPassword("nobody", value)
	case "database":
		u.Path = "/" + value
	case "tls":
		q := u.Query()
		q.Set("sslmode", "require")
		u.RawQuery = q.Encode()
	}
	return u.String()
}

func inPlainWords(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, internal := range []string{"\n", "dial", "failed to connect", "SQLSTATE", "FATAL", "lookup", "hunter2"} {
		if said := err.Error(); strings.Contains(said, internal) || !strings.Contains(said, want) {
			t.Errorf("%s, want %q and not %q", said, want, internal)
		}
	}
}

func TestPlainWordsKeepWhatOthersSayAroundThem(t *testing.T) {
	_, dial := net.DialTimeout("tcp", "127.0.0.1:1", time.Second)
	_, port := net.LookupPort("tcp", "nonsense")
	for _, c := range []struct {
		err  error
		want string
	}{
		{errors.New("as it is"), "as it is"},
		{fmt.Errorf("ask: %w", errors.Join(like.ErrUnavailable, dial)), "ask: a store is unavailable\nconnection refused"},
		{fmt.Errorf("wait: %w", context.DeadlineExceeded), "wait: no answer in time"},
		{fmt.Errorf("--listen: %w", port), `--listen: no port is called "nonsense"`},
		{fmt.Errorf("ledger: %w", &pgconn.PgError{Severity: "ERROR", Code: "42P01", Message: "no such table"}), "ledger: no such table"},
	} {
		if got := stores.Words(c.err); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

func TestAPostgresPoolHasBoundsUnlessItsURLHasOthers(t *testing.T) {
	url := privatetest.Postgres(t)
	for u, want := range map[string]struct {
		conns   int32
		timeout string
	}{
		url: {7, "1min"},
		url + "&pool_max_conns=3&statement_timeout=5s": {3, "5s"},
	} {
		pool, err := stores.OpenPostgres(t.Context(), u, stores.PostgresOptions{Conns: 7})
		if err != nil {
			t.Fatal(err)
		}
		var timeout string
		if err := pool.QueryRow(t.Context(), "SHOW statement_timeout").Scan(&timeout); err != nil {
			t.Error(err)
		}
		if got := pool.Config().MaxConns; got != want.conns || timeout != want.timeout {
			t.Errorf("%d connections, statement_timeout %s, want %+v", got, timeout, want)
		}
		pool.Close()
	}
}
