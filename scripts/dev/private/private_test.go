package private_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"plusone/scripts/dev/private"
	"plusone/scripts/dev/private/privatetest"
)

// holderDir, when set, makes this test binary a parent that holds servers in
// that directory until it is killed.
const holderDir = "PLUSONE_TEST_HOLDER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(holderDir); dir != "" {
		hold(dir)
	}
	privatetest.Main(m, privatetest.NoLeaks)
}

func hold(dir string) {
	r, err := private.StartRedis(context.Background(), private.RedisOptions{Dir: filepath.Join(dir, "redis")})
	if err != nil {
		panic(err)
	}
	p, err := private.StartPostgres(context.Background(), private.PostgresOptions{Dir: filepath.Join(dir, "postgres"), FastUnsafe: true})
	if err != nil {
		panic(err)
	}
	urls := []byte(r.URL() + "\n" + p.URL() + "\n")
	if err := os.WriteFile(filepath.Join(dir, "urls.new"), urls, 0o600); err != nil {
		panic(err)
	}
	if err := os.Rename(filepath.Join(dir, "urls.new"), filepath.Join(dir, "urls")); err != nil {
		panic(err)
	}
	time.Sleep(time.Hour)
}

func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func client(t *testing.T, url string) *redis.Client {
	t.Helper()
	o, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	o.DialerRetries, o.MaxRetries = 1, -1
	c := redis.NewClient(o)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func query(t *testing.T, url, sql string) string {
	t.Helper()
	conn, err := pgx.Connect(soon(t), url)
	must(t, err)
	defer func() { _ = conn.Close(context.Background()) }()
	var v string
	must(t, conn.QueryRow(soon(t), sql).Scan(&v))
	return v
}

func execute(t *testing.T, url, sql string) {
	t.Helper()
	conn, err := pgx.Connect(soon(t), url)
	must(t, err)
	defer func() { _ = conn.Close(context.Background()) }()
	_, err = conn.Exec(soon(t), sql)
	must(t, err)
}

func TestARedisKeepsWhatItAcknowledgedThroughAKill(t *testing.T) {
	t.Parallel()
	r := privatetest.Redis(t)
	must(t, client(t, r.URL()).Set(soon(t), "k", "v", 0).Err())
	url, pid := r.URL(), r.Pid()
	r.Kill()
	must(t, r.Restart(soon(t)))
	if r.URL() != url || r.Pid() == pid {
		t.Fatalf("restarted as %s (pid %d), want the same URL and another process", r.URL(), r.Pid())
	}
	if v := client(t, url).Get(soon(t), "k").Val(); v != "v" {
		t.Fatalf("k = %q after the kill", v)
	}
}

func TestARedisRunsWithTheSettingsThatItPromises(t *testing.T) {
	t.Parallel()
	r := privatetest.Redis(t)
	c := client(t, r.URL())
	for name, want := range map[string]string{
		"appendonly": "yes", "appendfsync": "always", "save": "", "maxmemory-policy": "noeviction", "bind": "127.0.0.1",
	} {
		if v := c.ConfigGet(soon(t), name).Val()[name]; v != want {
			t.Errorf("%s = %q, want %q", name, v, want)
		}
	}
}

func TestARedisThatCannotStartSaysWhy(t *testing.T) {
	t.Parallel()
	_, err := private.StartRedis(soon(t), private.RedisOptions{Dir: t.TempDir(), Extra: []string{"--no-such-option", "1"}})
	if errors.Is(err, private.ErrMissing) {
		t.Skip(err)
	}
	if err == nil {
		t.Fatal("started with an unknown option")
	}
}

func TestAStoppedRedisIsGone(t *testing.T) {
	t.Parallel()
	r := privatetest.Redis(t)
	must(t, r.Stop(soon(t)))
	if err := client(t, r.URL()).Ping(soon(t)).Err(); err == nil {
		t.Fatal("answers after Stop")
	}
	must(t, r.Stop(soon(t))) // again: nothing to do
}

func TestAPostgresKeepsWhatItCommittedThroughAKill(t *testing.T) {
	t.Parallel()
	p := privatetest.PostgresServer(t)
	execute(t, p.URL(), "CREATE TABLE t AS SELECT 'kept' AS v")
	url := p.URL()
	p.Kill()
	must(t, p.Restart(soon(t)))
	if p.URL() != url {
		t.Fatal("another URL after Restart")
	}
	if v := query(t, url, "SELECT v FROM t"); v != "kept" {
		t.Fatalf("v = %q", v)
	}
	must(t, p.Stop(soon(t)))
	must(t, p.Restart(soon(t)))
	if v := query(t, url, "SELECT v FROM t"); v != "kept" {
		t.Fatalf("v = %q", v)
	}
}

func TestAPostgresLetsNobodyInWithoutThePassword(t *testing.T) {
	t.Parallel()
	p := privatetest.PostgresServer(t)
	o, err := pgx.ParseConfig(p.URL())
	must(t, err)
	o.Password = "wrong"
	if _, err := pgx.ConnectConfig(soon(t), o); err == nil {
		t.Fatal("let in with a wrong password")
	}
	for setting, want := range map[string]string{
		"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "server_encoding": "UTF8", "lc_collate": "C",
	} {
		if v := query(t, p.URL(), "SHOW "+setting); v != want {
			t.Errorf("%s = %q, want %q", setting, v, want)
		}
	}
}

func TestEachTestHasADatabaseOfItsOwn(t *testing.T) {
	t.Parallel()
	for range 2 {
		url := privatetest.Postgres(t)
		execute(t, url, "CREATE TABLE only_mine (v int)")
	}
}

// The parents of the directory are closed to everybody but us, as /root is.
func TestAPostgresRunsBelowADirectoryThatItsUserCannotEnter(t *testing.T) {
	t.Parallel()
	closed := t.TempDir()
	must(t, os.Chmod(closed, 0o700))
	dir := filepath.Join(closed, "deep")
	for range 2 { // the second start finds the cluster of the first
		p, err := private.StartPostgres(soon(t), private.PostgresOptions{Dir: dir, FastUnsafe: true})
		if errors.Is(err, private.ErrMissing) {
			t.Skip(err)
		}
		must(t, err)
		query(t, p.URL(), "SELECT version()")
		must(t, p.Stop(soon(t)))
	}
	fi, err := os.Stat(filepath.Join(dir, "password"))
	must(t, err)
	if fi.Mode().Perm() != 0o600 {
		t.Errorf("the password file has mode %v", fi.Mode())
	}
}

func TestServersEndWithAParentThatIsKilledAndStartAgain(t *testing.T) {
	t.Parallel()
	privatetest.Redis(t) // skips when it is missing
	privatetest.Postgres(t)
	dir := t.TempDir()
	for round := range 2 {
		urls := filepath.Join(dir, "urls")
		_ = os.Remove(urls)
		parent := exec.Command(os.Args[0])
		parent.Env = append(os.Environ(), holderDir+"="+dir)
		parent.Stderr = os.Stderr
		must(t, parent.Start())
		var lines []string
		eventually(t, "the parent has its servers", func() bool {
			b, err := os.ReadFile(urls)
			lines = strings.Split(string(b), "\n")
			return err == nil
		})
		if round == 0 {
			must(t, client(t, lines[0]).Set(soon(t), "k", "v", 0).Err())
			execute(t, lines[1], "CREATE TABLE t AS SELECT 'kept' AS v")
		} else {
			if v := client(t, lines[0]).Get(soon(t), "k").Val(); v != "v" {
				t.Errorf("k = %q", v)
			}
			if v := query(t, lines[1], "SELECT v FROM t"); v != "kept" {
				t.Errorf("v = %q", v)
			}
		}
		must(t, parent.Process.Signal(syscall.SIGKILL))
		_ = parent.Wait()
		eventually(t, "redis is gone", func() bool { return client(t, lines[0]).Ping(soon(t)).Err() != nil })
		eventually(t, "postgres is gone", func() bool {
			conn, err := pgx.Connect(soon(t), lines[1])
			if err == nil {
				_ = conn.Close(soon(t))
			}
			return err != nil
		})
	}
}

func TestAMissingServerIsNamedWithItsPackage(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := private.StartRedis(soon(t), private.RedisOptions{Dir: t.TempDir()})
	if !errors.Is(err, private.ErrMissing) || !strings.Contains(err.Error(), "apt-get install redis-server") {
		t.Fatalf("error: %v", err)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	until := time.Now().Add(30 * time.Second)
	for !ok() {
		if time.Now().After(until) {
			t.Fatalf("not in time: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
