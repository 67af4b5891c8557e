package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/term"

	"plusone/cmd/internal/demo"
	"plusone/cmd/internal/sandbox"
	"plusone/cmd/internal/settings"
	"plusone/cmd/internal/stores"
	"plusone/tasks/ledger"
)

type devCmd struct {
	Data string `help:"Directory for everything that is kept (default: ${default})." default:".plusone" placeholder:"DIR"`
	Yes  bool   `help:"Agree to the download of Postgres when it is not installed."`

	PostgresMirror string `help:"Maven repository to download Postgres from, instead of Maven Central." placeholder:"URL"`

	settings.Tuning
	allSettings
}

// The addresses that dev prefers, and leaves when others have them.
const (
	devListen         = "127.0.0.1:8080"
	devInternalListen = "127.0.0.1:9090"
)

// closeTime bounds the shutdown of the private servers.
const closeTime = 20 * time.Second

// Run runs everything over private stores until ctx ends.
func (c devCmd) Run(ctx context.Context, log *slog.Logger, again *reload, out io.Writer) (err error) {
	defer func() { err = served(ctx, err) }()
	if err := c.check(ctx); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(out, "starting a Redis and a Postgres in %s (the first time this takes some seconds)\n", c.Data); err != nil {
		return err
	}
	box, err := c.openSandbox(ctx, out)
	if err != nil {
		return err
	}
	defer func() {
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTime)
		defer cancel()
		err = errors.Join(err, box.Close(ending))
		if err == nil && !box.InMemory {
			_, err = fmt.Fprintf(out, "ended; the likes stay in %s, and the same command goes on with them\n", c.Data)
		}
	}()
	if err := migrateSandbox(ctx, box.Postgres); err != nil {
		return err
	}
	where := settings.Stores{
		Redis: settings.Redis{RedisURL: box.Redis}, Postgres: settings.Postgres{PostgresURL: box.Postgres}, Tuning: c.Tuning,
	}
	where.Unsafe = where.Unsafe || box.InMemory
	p, err := open(ctx, log, where, "dev")
	if err != nil {
		return err
	}
	defer p.close()
	p.runsWith(again, where, c.Internal)
	return c.runOver(ctx, p, box, out)
}

// check refuses what serve would refuse before anything is started.
func (c devCmd) check(ctx context.Context) error {
	serve := serveSettings{allSettings: c.allSettings}
	serve.Tuning = c.Tuning
	serve.RedisURL, serve.PostgresURL = "redis://127.0.0.1", "postgres://127.0.0.1" // dev's own are right
	if wrong := (configCheckCmd{serve}).wrong(ctx); len(wrong) > 0 {
		return wrong[0]
	}
	return nil
}

func (c devCmd) runOver(ctx context.Context, p *process, box *sandbox.Sandbox, out io.Writer) error {
	inside, err := listenNear(out, devInternalListen, c.InternalListen, func() (net.Listener, error) { return listenInside(c.Internal) })
	if err != nil {
		return err
	}
	public, err := listenNear(out, devListen, c.Listen, func() (net.Listener, error) { return listen("listen", c.Listen) })
	if err != nil {
		return errors.Join(err, inside.Close())
	}
	hash := sha256.Sum256([]byte(box.ServerKey))
	c.ServerKeys = append(c.ServerKeys, "dev=sha256:"+hex.EncodeToString(hash[:]))
	if c.InternalToken == nil { // to act in the console; all may look, as without one
		hash := sha256.Sum256([]byte(box.InternalToken))
		c.InternalToken, p.open = hash[:], true
	}
	p.add("private servers", box.Watch)
	err = p.addWorker(c.workerSettings)
	if err == nil {
		p.addReconciler(c.Reconcile)
		err = p.addDemo(ctx, public, inside.Addr().String(), box.ServerKey, c.apiSettings)
	}
	if err == nil {
		err = welcome(out, box, "http://"+public.Addr().String(), "http://"+inside.Addr().String(), p.open)
	}
	if err != nil {
		return errors.Join(err, inside.Close(), public.Close())
	}
	return p.run(ctx, inside, c.Internal)
}

// addDemo adds the API on l with the demo beside it, which ends first.
func (p *process) addDemo(ctx context.Context, l net.Listener, inside, key string, s apiSettings) error {
	d, err := demo.New(demo.Options{
		API: "http://" + l.Addr().String(), Inside: "http://" + inside, ServerKey: key, Auth: s.Auth.Auth,
		Log: p.log, Logs: p.logs, Ledger: p.ledger,
	})
	if err != nil {
		return err
	}
	if err := p.addAPIOn(ctx, l, s, d.Answer); err != nil {
		return err
	}
	p.add("demo", d.Run)
	return nil
}

func (c devCmd) openSandbox(ctx context.Context, out io.Writer) (*sandbox.Sandbox, error) {
	o := sandbox.Options{Dir: c.Data, Yes: c.Yes, Root: os.Geteuid() == 0, Mirror: c.PostgresMirror, Out: out}
	if term.IsTerminal(int(os.Stdin.Fd())) {
		o.In = os.Stdin
	}
	return sandbox.Open(ctx, o)
}

func migrateSandbox(ctx context.Context, url string) error {
	pool, err := stores.OpenPostgres(ctx, url, stores.PostgresOptions{Conns: 2, Long: true})
	if err != nil {
		return err
	}
	defer pool.Close()
	return ledger.Migrate(ctx, pool)
}

// listenNear opens a listener; when the preferred address is wanted and taken,
// it takes a free port beside it.
func listenNear(out io.Writer, preferred, wanted string, open func() (net.Listener, error)) (net.Listener, error) {
	l, err := open()
	if wanted != preferred || !errors.Is(err, syscall.EADDRINUSE) {
		return l, err
	}
	l, err = net.Listen("tcp4", "127.0.0.1:0")
	if err == nil {
		_, err = fmt.Fprintf(out, "\n  %s is taken, using %s instead.\n", preferred, l.Addr())
	}
	return l, err
}

// welcome tells the person what runs where, and what to try.
func welcome(out io.Writer, box *sandbox.Sandbox, public, inside string, open bool) error {
	acting := ""
	if open {
		acting = "\n            to act in the console, log in with the token in " + filepath.Join(box.Dir, "internal-token")
	}
	_, err := fmt.Fprintf(out, `
plusone dev runs. Ctrl-C ends it and what it started.

  look      %[1]s  (posts to like, and a storm: open it in a browser)

  API       %[1]s
  inside    %[2]s  (/console/ /readyz /metrics /tasks/)%[9]s
  redis     %[3]s  %[4]s
  postgres  %[5]s  %[6]s
  data      %[7]s
  key       of a server that may act for users: %[8]s

Like something, and look:

  curl -X PUT -H 'X-User-ID: alice' %[1]s/v1/items/hello/like
  curl %[1]s/v1/items/hello
  curl -H "Authorization: Bearer $(cat %[8]s)" --json '{"ops":[{"item":"hello","user":"bob","liked":true}]}' %[1]s/v1/likes

Other commands take these stores, such as plusone doctor:

  export PLUSONE_REDIS_URL='%[3]s' PLUSONE_POSTGRES_URL='%[5]s'

`, public, inside, box.Redis, box.RedisIs, box.Postgres, box.PostgresIs, box.Dir, filepath.Join(box.Dir, "server-key"), acting)
	return err
}
