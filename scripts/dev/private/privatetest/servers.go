// Package privatetest gives tests servers of their own: a real Redis in about
// 20 ms, an empty database in one Postgres per test binary, and a proxy that
// loses replies. Everything ends with the test, or with the test binary however
// that ends.
//
// What is not installed skips the test with a sentence that says how to get it;
// where CI=true it fails the test.
package privatetest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"plusone/scripts/dev/private"
)

// startTime bounds how long a server may take to start or to stop.
const startTime = time.Minute

// Redis starts a Redis for this test.
func Redis(t testing.TB) *private.Redis {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTime)
	defer cancel()
	r, err := private.StartRedis(ctx, private.RedisOptions{Dir: Directory(t)})
	need(t, err)
	t.Cleanup(r.Kill)
	return r
}

// PostgresServer starts a Postgres for this test alone, which it may stop and
// kill. Prefer Postgres, which is 20 times faster.
func PostgresServer(t testing.TB) *private.Postgres {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTime)
	defer cancel()
	p, err := private.StartPostgres(ctx, private.PostgresOptions{Dir: Directory(t), FastUnsafe: true})
	need(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), startTime)
		defer cancel()
		if err := p.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return p
}

// need skips the test when a server is not installed, and fails it on any other
// error.
func need(t testing.TB, err error) {
	t.Helper()
	switch {
	case err == nil:
	case errors.Is(err, private.ErrMissing) && os.Getenv("CI") != "true":
		t.Skipf("this test needs a real server: %v", err)
	default:
		t.Fatalf("start a private server: %v", err)
	}
}

// Directory makes a directory for a server, which outlives the server.
func Directory(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "plusone-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { remove(t, dir) })
	return filepath.Join(dir, "server")
}

// remove deletes dir. Backends of a killed Postgres may still write into it for
// a moment.
func remove(t testing.TB, dir string) {
	if err := removeAll(dir); err != nil {
		t.Errorf("remove %s: %v", dir, err)
	}
}

func removeAll(dir string) error {
	until := time.Now().Add(10 * time.Second)
	for {
		err := os.RemoveAll(dir)
		if err == nil || time.Now().After(until) {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
}
