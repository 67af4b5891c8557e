package private

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// binaries are the programs of one Postgres installation.
type binaries struct{ initdb, postgres string }

// findPostgres looks on PATH, then in Debian's places, newest version first, then
// in last.
func findPostgres(last string) (binaries, error) {
	dirs := filepath.SplitList(os.Getenv("PATH"))
	debian, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return binaries{}, fmt.Errorf("look for postgres: %w", err)
	}
	slices.SortFunc(debian, func(a, b string) int { return majorVersion(b) - majorVersion(a) })
	for _, dir := range slices.Concat(dirs, debian, []string{last}) {
		initdb, err1 := exec.LookPath(filepath.Join(dir, "initdb"))
		postgres, err2 := exec.LookPath(filepath.Join(dir, "postgres"))
		if err1 == nil && err2 == nil && filepath.IsAbs(dir) {
			return binaries{initdb, postgres}, nil
		}
	}
	return binaries{}, fmt.Errorf("postgres is %w: initdb and postgres are neither on PATH nor in "+
		"/usr/lib/postgresql/*/bin (Debian: apt-get install postgresql)", ErrMissing)
}

func majorVersion(bin string) int {
	n, err := strconv.Atoi(filepath.Base(filepath.Dir(bin)))
	if err != nil {
		return 0
	}
	return n
}

// prepare makes directory, password and cluster as far as they are missing.
//
// The cluster is made as data.new and renamed: a data directory is always a
// whole one, also after a kill in the middle of initdb.
func (p *Postgres) prepare(ctx context.Context) error {
	if err := os.MkdirAll(p.opts.Dir, 0o700); err != nil {
		return err
	}
	var err error
	if p.runAs, err = accountFor(p.opts.Dir); err != nil {
		return err
	}
	if err := p.runAs.own(p.opts.Dir); err != nil {
		return err
	}
	data := filepath.Join(p.opts.Dir, "data")
	_, err = os.Stat(data)
	if errors.Is(err, os.ErrNotExist) {
		err = p.initdb(ctx, data)
	}
	if err != nil {
		return err
	}
	b, err := os.ReadFile(filepath.Join(p.opts.Dir, "password"))
	p.password = strings.TrimSpace(string(b))
	return err
}

func (p *Postgres) initdb(ctx context.Context, data string) error {
	fresh, pwfile := data+".new", filepath.Join(p.opts.Dir, "password")
	if err := os.RemoveAll(fresh); err != nil {
		return err
	}
	if err := os.WriteFile(pwfile, []byte(rand.Text()+"\n"), 0o600); err != nil {
		return err
	}
	if err := p.runAs.own(pwfile); err != nil {
		return err
	}
	args := []string{"-U", pgUser, "-E", "UTF8", "--locale=C", "--auth=scram-sha-256"}
	if p.opts.FastUnsafe {
		args = append(args, "--no-sync")
	}
	cmd, done, err := p.command(exec.Command(p.bins.initdb, args...), "data.new")
	if err != nil {
		return err
	}
	cmd.Args = append(cmd.Args, "--pwfile="+filepath.Join(filepath.Dir(dataDir(cmd)), "password"))
	if err := runToEnd(ctx, cmd, done); err != nil {
		return fmt.Errorf("initdb: %w", err)
	}
	return os.Rename(fresh, data)
}

// runToEnd runs cmd as a child that ends with us; an error carries what it complains of.
func runToEnd(ctx context.Context, cmd *exec.Cmd, started func() error) error {
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	child, err := Spawn(cmd)
	if err := errors.Join(err, started()); err != nil {
		return err
	}
	select {
	case <-child.done:
	case <-ctx.Done():
		child.Kill()
		return ctx.Err()
	}
	if child.err != nil {
		return fmt.Errorf("%w: %s", child.err, complaint(out.String()))
	}
	return nil
}

// dropStrangersPid removes a pid file whose process is not a postgres: after a
// crash the number may belong to somebody else, and postgres would wait for
// them for ever.
func (p *Postgres) dropStrangersPid() error {
	path := filepath.Join(p.opts.Dir, "data", "postmaster.pid")
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("stale pid file: %w", err)
	}
	pid, _, _ := strings.Cut(string(b), "\n")
	// An unreadable comm is a process that is gone, which postgres sees itself.
	comm, _ := os.ReadFile("/proc/" + pid + "/comm")
	if len(comm) == 0 || strings.HasPrefix(string(comm), "postgres") {
		return nil
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("stale pid file: %w", err)
	}
	return nil
}
