package private

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// PostgresOptions says how a private Postgres runs.
type PostgresOptions struct {
	Dir        string   // where cluster, password and log lie; made if missing
	Bin        string   // a directory to look for the programs in when they are nowhere else
	FastUnsafe bool     // for tests: no fsync, so a lost machine loses data
	Extra      []string // further settings, name=value; the last one of a name counts
}

// Postgres is a postgres server of this process. Its methods are for one
// goroutine.
//
// Its directory holds data (the cluster), password (0600) and postgres.log. It
// listens on 127.0.0.1 only, asks for the password (SCRAM) and has no unix
// socket.
type Postgres struct {
	opts     PostgresOptions
	bins     binaries
	runAs    *account
	port     int
	password string
	proc     *Process
}

// The superuser and the database that a private Postgres has.
const (
	pgUser     = "plusone"
	pgDatabase = "plusone"
)

// StartPostgres starts a Postgres on o.Dir, making the cluster if there is none,
// and returns once it accepts connections. Run by root it becomes the owner of
// the cluster, or the user postgres, or nobody.
func StartPostgres(ctx context.Context, o PostgresOptions) (*Postgres, error) {
	bins, err := findPostgres(o.Bin)
	if err != nil {
		return nil, err
	}
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return nil, fmt.Errorf("postgres directory: %w", err)
	}
	p := &Postgres{opts: o, bins: bins}
	if err := p.prepare(ctx); err != nil {
		return nil, fmt.Errorf("postgres in %s: %w", o.Dir, err)
	}
	err = onFreePort(func(port int) error {
		p.port = port
		return p.start(ctx)
	})
	if err != nil {
		return nil, err
	}
	if err := p.ensureDatabase(ctx); err != nil {
		p.Kill()
		return nil, err
	}
	return p, nil
}

// URL is what clients connect to, password included.
func (p *Postgres) URL() string { return p.urlOf(pgDatabase) }

func (p *Postgres) urlOf(database string) string {
	return fmt.Sprintf("postgres://%s:%s@%s/%s?sslmode=disable", pgUser, p.password, address(p.port), database)
}

// Program is the path of the postgres that runs.
func (p *Postgres) Program() string { return p.bins.postgres }

// Ended is closed when the server has ended, by whatever cause.
func (p *Postgres) Ended() <-chan struct{} { return p.proc.done }

// Pid is the process id of the postmaster.
func (p *Postgres) Pid() int { return p.proc.cmd.Process.Pid }

// Stop breaks off open transactions and shuts the server down ("fast"). When
// ctx ends first it is killed, and the error says so.
func (p *Postgres) Stop(ctx context.Context) error { return p.proc.Stop(ctx, syscall.SIGINT) }

// Kill ends the server at once, as a crash would. Its backends see that and end
// a moment later.
func (p *Postgres) Kill() { p.proc.Kill() }

// Restart starts the server again on its port and directory, after stopping
// it if it runs.
func (p *Postgres) Restart(ctx context.Context) error {
	if err := p.Stop(ctx); err != nil {
		return err
	}
	return p.start(ctx)
}

// settleTime bounds how long a start waits for the backends of a postmaster
// that was killed: they hold its shared memory until they notice.
const settleTime = 20 * time.Second

// start tries until the server accepts. A failure is final unless a killed
// predecessor left its pid file.
func (p *Postgres) start(ctx context.Context) error {
	settled := time.Now().Add(settleTime)
	for {
		_, err := os.Stat(filepath.Join(p.opts.Dir, "data", "postmaster.pid"))
		unclean := err == nil
		err = p.startOnce(ctx)
		if err == nil || errors.Is(err, errPortTaken) || !unclean || ctx.Err() != nil || time.Now().After(settled) {
			return err
		}
		if err := p.dropStrangersPid(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (p *Postgres) startOnce(ctx context.Context) error {
	args := []string{
		"-c", "listen_addresses=127.0.0.1", "-c", fmt.Sprintf("port=%d", p.port), "-c", "unix_socket_directories=",
		"-c", "max_connections=100", "-c", "shared_buffers=64MB",
	}
	if p.opts.FastUnsafe {
		args = append(args, "-c", "fsync=off", "-c", "full_page_writes=off")
	}
	for _, setting := range p.opts.Extra {
		args = append(args, "-c", setting)
	}
	log, err := os.OpenFile(filepath.Join(p.opts.Dir, "postgres.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("postgres log: %w", err)
	}
	before, err := log.Seek(0, 2)
	if err != nil {
		return errors.Join(fmt.Errorf("postgres log: %w", err), log.Close())
	}
	cmd, done, err := p.command(exec.Command(p.bins.postgres, args...), "data")
	if err != nil {
		return errors.Join(err, log.Close())
	}
	cmd.Stdout, cmd.Stderr = log, log
	proc, err := Spawn(cmd)
	closed := errors.Join(log.Close(), done())
	if err != nil {
		return errors.Join(err, closed)
	}
	p.proc = proc
	if err := errors.Join(closed, p.ready(ctx, before)); err != nil {
		proc.Kill()
		return err
	}
	return nil
}

// ready waits until the server lets us in with our password, which a stranger
// on this port would not.
func (p *Postgres) ready(ctx context.Context, logFrom int64) error {
	for {
		err := p.ping(ctx)
		switch {
		case err == nil:
			return nil
		case p.proc.ended():
			return p.failure(logFrom)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("postgres on %s is not ready (%w): %w", address(p.port), err, ctx.Err())
		case <-p.proc.done:
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (p *Postgres) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, p.urlOf("postgres"))
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// failure tells why the server ended before it was ready.
func (p *Postgres) failure(logFrom int64) error {
	b, err := os.ReadFile(filepath.Join(p.opts.Dir, "postgres.log"))
	if err != nil {
		return fmt.Errorf("postgres ended at its start (%w), and its log: %w", p.proc.err, err)
	}
	logged := strings.TrimSpace(string(b[min(int64(len(b)), logFrom):]))
	if strings.Contains(logged, "could not create any TCP/IP sockets") {
		return fmt.Errorf("postgres on %s: %w", address(p.port), errPortTaken)
	}
	return fmt.Errorf("it ended at its start (%w): %s", p.proc.err, complaint(logged))
}

// ensureDatabase makes the database of URL if a first start, perhaps a killed
// one, has not.
func (p *Postgres) ensureDatabase(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, p.urlOf("postgres"))
	if err != nil {
		return fmt.Errorf("connect to the private postgres: %w", err)
	}
	_, err = conn.Exec(ctx, "CREATE DATABASE "+pgDatabase)
	const duplicateDatabase = "42P04"
	if pe := new(pgconn.PgError); errors.As(err, &pe) && pe.Code == duplicateDatabase {
		err = nil
	}
	if err := errors.Join(err, conn.Close(ctx)); err != nil {
		return fmt.Errorf("create database %s: %w", pgDatabase, err)
	}
	return nil
}
