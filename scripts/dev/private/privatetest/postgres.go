package privatetest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"plusone/scripts/dev/private"
)

// shared is the Postgres of this test binary, started by the first test that
// asks and stopped by Main.
var shared struct {
	once   sync.Once
	mained bool
	dir    string
	server *private.Postgres
	err    error
	names  atomic.Int64
}

// Postgres makes an empty database for this test, dropped at its end, and
// returns its URL. The package's TestMain must call Main.
func Postgres(t testing.TB) string {
	t.Helper()
	if !shared.mained {
		t.Fatal("privatetest.Postgres: the package lacks func TestMain(m *testing.M) { privatetest.Main(m) }")
	}
	shared.once.Do(startShared)
	need(t, shared.err)
	u, err := url.Parse(shared.server.URL())
	if err != nil {
		t.Fatal(err)
	}
	admin := u.String()
	name := fmt.Sprintf("test_%d", shared.names.Add(1))
	execute(t, admin, "CREATE DATABASE "+name+" TEMPLATE template0")
	t.Cleanup(func() { execute(t, admin, "DROP DATABASE "+name+" WITH (FORCE)") })
	u.Path = "/" + name
	return u.String()
}

func startShared() {
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	if shared.dir, shared.err = os.MkdirTemp("", "plusone-test-"); shared.err != nil {
		return
	}
	shared.server, shared.err = private.StartPostgres(ctx,
		private.PostgresOptions{Dir: filepath.Join(shared.dir, "server"), FastUnsafe: true})
}

func stopShared() error {
	var err error
	if shared.server != nil {
		ctx, cancel := context.WithTimeout(context.Background(), startTime)
		defer cancel()
		err = shared.server.Stop(ctx)
	}
	if shared.dir == "" {
		return err
	}
	return errors.Join(err, removeAll(shared.dir))
}

// execute runs one statement. It also runs in Cleanup, where the test's own
// context has ended.
func execute(t testing.TB, url, sql string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err == nil {
		_, err = conn.Exec(ctx, sql)
		err = errors.Join(err, conn.Close(ctx))
	}
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// Option changes what Main checks.
type Option int

// neverEnd are goroutines of fasthttp that outlive its servers: a clock, and for
// some seconds what closes idle workers.
var neverEnd = []goleak.Option{
	goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
	goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
}

// NoLeaks makes Main fail the package when goroutines outlive its tests.
const NoLeaks Option = 1

// Main runs a package's tests, stops the shared Postgres and exits. It is the
// body of TestMain.
func Main(m *testing.M, opts ...Option) {
	shared.mained = true
	code := m.Run()
	if err := stopShared(); err != nil {
		fmt.Fprintln(os.Stderr, "privatetest: end the shared postgres:", err)
		code = max(code, 1)
	}
	for _, o := range opts {
		if o != NoLeaks || code != 0 {
			continue
		}
		if err := goleak.Find(neverEnd...); err != nil {
			fmt.Fprintln(os.Stderr, "privatetest: goroutines outlived the tests:", err)
			code = 1
		}
	}
	os.Exit(code)
}
