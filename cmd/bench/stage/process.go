package stage

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"plusone/scripts/dev/private"
)

// Key is the server key that plusone's APIs take.
const Key = "the-bench-knows-it"

// Process is a running program.
type Process struct {
	Name   string
	Addr   string // of its public listener
	Inside string // host:port of the internal one
	*private.Process
	log string
}

// Plusone runs plusone in a role, at its defaults but for args, and returns when
// it is ready.
func (s *Stage) Plusone(ctx context.Context, role string, args ...string) (*Process, error) {
	inside, err := private.FreeAddress()
	if err != nil {
		return nil, err
	}
	all := []string{role, "--redis-url", s.Redis.URL(), "--postgres-url", s.PostgresURL, "--internal-listen", inside}
	p := &Process{Name: role, Inside: inside}
	if role == "api" {
		if p.Addr, err = private.FreeAddress(); err != nil {
			return nil, err
		}
		all = append(all, "--listen", p.Addr, "--server-keys", fmt.Sprintf("bench=sha256:%x", sha256.Sum256([]byte(Key))))
	}
	return p, s.start(ctx, p, exec.Command(s.Hall.Plusone, append(all, args...)...), p.ready)
}

// Baseline runs a baseline's server, a role of the bench.
func (s *Stage) Baseline(ctx context.Context, role string, args ...string) (*Process, error) {
	addr, err := private.FreeAddress()
	if err != nil {
		return nil, err
	}
	p := &Process{Name: role, Addr: addr}
	all := []string{"serve", role, "--listen", addr}
	if s.Redis != nil {
		all = append(all, "--redis-url", s.Redis.URL())
	}
	if s.PostgresURL != "" {
		all = append(all, "--postgres-url", s.PostgresURL)
	}
	return p, s.start(ctx, p, exec.Command(s.Hall.Self, append(all, args...)...), p.accepts)
}

func (s *Stage) start(ctx context.Context, p *Process, cmd *exec.Cmd, ready func(context.Context) error) error {
	p.log = filepath.Join(s.dir, fmt.Sprintf("%s-%d.log", p.Name, len(s.procs)))
	log, err := os.Create(p.log)
	if err != nil {
		return err
	}
	cmd.Env, cmd.Stdout, cmd.Stderr = cleanEnv(), log, log
	p.Process, err = private.Spawn(cmd)
	if err := errors.Join(err, log.Close()); err != nil {
		return err
	}
	s.procs = append(s.procs, p)
	return p.await(ctx, ready)
}

// startTime bounds how long a process may take to be ready.
const startTime = 20 * time.Second

func (p *Process) await(ctx context.Context, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.Ended():
			return fmt.Errorf("%s ended: %s", p.Name, p.said())
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w: %s", p.Name, err, p.said())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (p *Process) ready(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.Inside+"/readyz", nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	if err := res.Body.Close(); err != nil || res.StatusCode != http.StatusOK {
		return errors.Join(err, fmt.Errorf("readyz answers %d", res.StatusCode))
	}
	return p.accepts(ctx)
}

func (p *Process) accepts(ctx context.Context) error {
	if p.Addr == "" {
		return nil
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp4", p.Addr)
	if err != nil {
		return err
	}
	return conn.Close()
}

// said is the end of what the process logged.
func (p *Process) said() []byte {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return []byte(err.Error())
	}
	return b[max(0, len(b)-2000):]
}

func (p *Process) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), endTime)
	defer cancel()
	return p.Stop(ctx, syscall.SIGTERM)
}

// Stop ends a process before its stage ends.
func (s *Stage) Stop(p *Process) error { return p.stop() }
