package stores_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"

	"plusone/cmd/internal/stores"
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
