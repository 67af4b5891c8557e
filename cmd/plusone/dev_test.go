package main

import (
	"context"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"plusone/scripts/dev/private/privatetest"
)

const (
	devURL   = `API +(http://\S+)`
	devRedis = `redis +redis://(\S+)/0`
	devPG    = `postgres +postgres://[^@]+@([^/]+)/`
)

func TestALikeSurvivesAKillOfDevAndAnEndOfIt(t *testing.T) {
	t.Parallel()
	privatetest.Redis(t)
	privatetest.Postgres(t)
	data := []string{"--data", filepath.Join(t.TempDir(), "data"), "--internal-listen", "127.0.0.1:0"}
	p := start(t, args("dev", data)...)
	wantLike(t, p.find(t, devURL), "page", `"changed":true,"count":1`)

	second := start(t, args("dev", data)...)
	if code := second.end(t, 0); code != exitFailed || !strings.Contains(second.said(), "--data") {
		t.Errorf("a second dev on the same data: %d %s", code, second.said())
	}
	p.end(t, syscall.SIGKILL)

	p = start(t, args("dev", data)...)
	wantLike(t, p.find(t, devURL), "page", `"changed":false,"count":1`)
	servers := []string{p.find(t, devRedis), p.find(t, devPG)}
	if code := p.end(t, syscall.SIGINT); code != exitOK {
		t.Errorf("dev ends with %d", code)
	}
	for _, addr := range servers {
		if listens(t, addr) {
			t.Errorf("%s still listens after the end of dev", addr)
		}
	}

	p = start(t, args("dev", data)...)
	wantLike(t, p.find(t, devURL), "page", `"changed":false,"count":1`)
	if code := p.end(t, syscall.SIGTERM); code != exitOK {
		t.Errorf("dev ends with %d", code)
	}
}

func TestASecondSignalEndsDevAtOnceAndLosesNothing(t *testing.T) {
	t.Parallel()
	privatetest.Redis(t)
	privatetest.Postgres(t)
	data := []string{"--data", filepath.Join(t.TempDir(), "data"), "--internal-listen", "127.0.0.1:0", "--read-timeout=1m"}
	p := start(t, args("dev", data)...)
	url := p.find(t, devURL)
	wantLike(t, url, "page", `"count":1`)
	addr := strings.TrimPrefix(url, "http://")
	slow, err := net.Dial("tcp", addr) // a request that does not end keeps the API from ending
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = slow.Close() }()
	if _, err := slow.Write([]byte("PUT /v1/items/page/like HTTP/1.1\r\nHost:")); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the API accepts no more", func() bool { return !listens(t, addr) })
	if code := p.end(t, syscall.SIGINT); code != -1 || p.cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGINT {
		t.Errorf("it ends with %d, %v", code, p.cmd.ProcessState)
	}
	redis := p.find(t, devRedis)
	eventually(t, "its Redis is gone", func() bool { return !listens(t, redis) })

	p = start(t, args("dev", data)...)
	wantLike(t, p.find(t, devURL), "page", `"changed":false,"count":1`)
	if code := p.end(t, syscall.SIGTERM); code != exitOK {
		t.Errorf("dev ends with %d", code)
	}
}

func TestDevWithoutRedisServerCountsInMemoryAndSaysSo(t *testing.T) {
	t.Parallel()
	privatetest.Postgres(t)
	if bins, err := filepath.Glob("/usr/lib/postgresql/*/bin"); err != nil || len(bins) == 0 {
		t.Skip("Postgres is on PATH only, which this test hides")
	}
	data := []string{"--data", filepath.Join(t.TempDir(), "data"), "--internal-listen", "127.0.0.1:0"}
	for _, want := range []string{`"changed":true,"count":1`, `"changed":false,"count":1`} {
		p := startIn(t, []string{"PATH=" + t.TempDir()}, args("dev", data)...)
		wantLike(t, p.find(t, devURL), "page", want)
		if code := p.end(t, syscall.SIGINT); code != exitOK || !strings.Contains(p.said(), "LOST AT THE END") {
			t.Errorf("dev ends with %d: %s", code, p.said())
		}
	}
}

func TestASignalWhileDevStartsIsNoFailure(t *testing.T) {
	t.Parallel()
	privatetest.Redis(t)
	privatetest.Postgres(t)
	dir := t.TempDir()
	p := start(t, "dev", "--data", dir, "--internal-listen", "127.0.0.1:0")
	eventually(t, "it makes its cluster", func() bool {
		found, err := filepath.Glob(filepath.Join(dir, "postgres", "data.new", "*"))
		return err == nil && len(found) > 0
	})
	if code := p.end(t, syscall.SIGTERM); code != exitOK {
		t.Errorf("dev ends with %d", code)
	}
	p = start(t, "dev", "--data", dir, "--internal-listen", "127.0.0.1:0")
	wantLike(t, p.find(t, devURL), "page", `"count":1`)
	if code := p.end(t, syscall.SIGTERM); code != exitOK {
		t.Errorf("dev ends with %d", code)
	}
}

func listens(t *testing.T, addr string) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err == nil {
		_ = c.Close()
	}
	return err == nil
}

func TestAPreferredPortThatIsTakenIsLeftAlone(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	addr := taken.Addr().String()
	open := func() (net.Listener, error) { return listen("listen", addr) }

	l, err := listenNear(io.Discard, addr, addr, open)
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	if _, err := listenNear(io.Discard, "127.0.0.1:8080", addr, open); err == nil || !strings.Contains(err.Error(), "--listen") {
		t.Errorf("an address that was asked for and is taken: %v", err)
	}
}

func TestDevEndsWhenOneOfItsServersHasEnded(t *testing.T) {
	t.Parallel()
	privatetest.Redis(t)
	privatetest.Postgres(t)
	p := start(t, "dev", "--data", filepath.Join(t.TempDir(), "data"), "--listen", "127.0.0.1:0", "--internal-listen", "127.0.0.1:0")
	pid, err := strconv.Atoi(p.find(t, `redis-server, appendfsync always \(pid (\d+)\)`))
	must(t, err)
	p.find(t, devURL)
	must(t, syscall.Kill(pid, syscall.SIGKILL))
	if code := p.end(t, 0); code != exitFailed || !strings.Contains(p.said(), "the private Redis has ended") {
		t.Errorf("dev ends with %d", code)
	}
}
