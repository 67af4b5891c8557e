package sandbox

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"plusone/scripts/dev/private"
	"plusone/scripts/dev/private/privatetest"
)

func TestMain(m *testing.M) { privatetest.Main(m, privatetest.NoLeaks) }

// open opens a sandbox, and skips as privatetest does when servers are missing.
func open(t *testing.T, dir string) *Sandbox {
	t.Helper()
	privatetest.Redis(t)
	privatetest.Postgres(t)
	s, err := Open(t.Context(), Options{Dir: dir, Out: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func closeIt(t *testing.T, s *Sandbox) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		t.Error(err)
	}
}

func client(t *testing.T, url string) *redis.Client {
	t.Helper()
	o, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	c := redis.NewClient(o)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestASandboxStartsAgainWithItsDataAndItsKey(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	first := open(t, dir)
	if err := client(t, first.Redis).Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Error(err)
	}
	closeIt(t, first)
	second := open(t, dir)
	defer closeIt(t, second)
	if v := client(t, second.Redis).Get(t.Context(), "k").Val(); v != "v" {
		t.Errorf("k = %q", v)
	}
	if first.ServerKey != second.ServerKey || len(first.ServerKey) < 32 {
		t.Error("the server key is another one, or short")
	}
	for _, name := range []string{"server-key", "lock"} {
		if fi, err := os.Stat(filepath.Join(dir, name)); err != nil || fi.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, fi, err)
		}
	}
}

func TestADirectoryBelongsToOneSandboxAtATime(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	_, err := Open(t.Context(), Options{Dir: dir, Out: t.Output()})
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), "--data") {
		t.Errorf("error: %v", err)
	}
	if err := client(t, s.Redis).Ping(t.Context()).Err(); err != nil {
		t.Errorf("the second one harmed the first: %v", err)
	}
	closeIt(t, s)
	closeIt(t, open(t, dir))
}

func TestWithoutRedisServerItSaysLoudlyThatItLosesData(t *testing.T) {
	privatetest.Postgres(t)
	t.Setenv("PATH", t.TempDir())
	var out bytes.Buffer
	s, err := Open(t.Context(), Options{Dir: t.TempDir(), Out: &out})
	if errors.Is(err, ErrNotAgreed) {
		t.Skip("Postgres is on PATH only, which this test hides")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer closeIt(t, s)
	if !s.InMemory || !strings.Contains(out.String(), "WARNING") || !strings.Contains(out.String(), "apt-get install redis-server") {
		t.Errorf("in memory: %v, said %q", s.InMemory, out.String())
	}
	if err := client(t, s.Redis).Ping(t.Context()).Err(); err != nil {
		t.Error(err)
	}
}

func TestNothingIsDownloadedWithoutAYes(t *testing.T) {
	missing := private.ErrMissing
	for answer, agreed := range map[string]bool{"y\n": true, "Yes\n": true, "\n": false, "n\n": false, "": false, "yo\n": false} {
		var out bytes.Buffer
		err := agree(Options{In: strings.NewReader(answer), Out: &out}, missing)
		if (err == nil) != agreed || !strings.Contains(out.String(), "[y/N]") {
			t.Errorf("%q: %v, asked %q", answer, err, out.String())
		}
	}
	if err := agree(Options{}, missing); !errors.Is(err, ErrNotAgreed) || !strings.Contains(err.Error(), "--yes") {
		t.Errorf("without a terminal: %v", err)
	}
	if err := agree(Options{Yes: true, Root: true}, missing); !errors.Is(err, ErrNotAgreed) {
		t.Errorf("as root: %v", err)
	}
	if err := agree(Options{Yes: true}, missing); err != nil {
		t.Errorf("with --yes: %v", err)
	}
}
