package house

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"plusone/scripts/dev/private"
)

// respawn is the pause before a process that ended by itself is started again:
// one that starts while a store is away says so and ends.
const respawn = 250 * time.Millisecond

// Process is a plusone in one role. It is started again whenever it ends, until
// it is held down or its house closes.
type Process struct {
	Name   string
	Public string // host:port of an API's public listener
	Inside string // host:port of the internal listener

	bin  string
	args []string
	env  []string
	log  string

	mu    sync.Mutex
	child *private.Process
	down  bool
	wake  chan struct{} // holds one token when down has changed
	exits []Exit
	begun time.Time
}

// Exit is a process that ended without being told to.
type Exit struct {
	At    time.Time
	Lived time.Duration
	How   string
}

// run keeps the process running until ctx ends, then lets it finish.
func (p *Process) run(ctx context.Context) error {
	for ctx.Err() == nil {
		child, err := p.spawn()
		switch {
		case err != nil:
			return err
		case child == nil: // held down
			select {
			case <-p.wake:
			case <-ctx.Done():
			}
			continue
		}
		select {
		case <-child.Ended():
			p.ended(child)
			select {
			case <-p.wake:
			case <-time.After(respawn):
			case <-ctx.Done():
			}
		case <-ctx.Done():
			return p.finish(child)
		}
	}
	return nil
}

// finish ends a child gently; one that takes too long is a finding.
func (p *Process) finish(child *private.Process) error {
	ctx, cancel := context.WithTimeout(context.Background(), endTime)
	defer cancel()
	_ = syscall.Kill(child.Pid(), syscall.SIGCONT) // it may have been stopped
	if err := child.Stop(ctx, syscall.SIGTERM); err != nil {
		return fmt.Errorf("%s: %w", p.Name, err)
	}
	return nil
}

func (p *Process) spawn() (*private.Process, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down {
		return nil, nil
	}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(p.bin, p.args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = p.env, log, log
	child, err := private.Spawn(cmd)
	if err := errors.Join(err, log.Close()); err != nil {
		return nil, err
	}
	p.child, p.begun = child, time.Now()
	return child, nil
}

func (p *Process) ended(child *private.Process) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.child = nil
	if p.down {
		return
	}
	how := "exit code 0"
	if err := child.How(); err != nil {
		how = err.Error()
	}
	p.exits = append(p.exits, Exit{time.Now(), time.Since(p.begun), how})
}

// Kill ends the process with SIGKILL and holds it down.
func (p *Process) Kill() {
	if child := p.hold(); child != nil {
		child.Kill()
	}
}

// Stop asks the process to end, waits for it, and holds it down.
func (p *Process) Stop(ctx context.Context) error {
	if child := p.hold(); child != nil {
		return child.Stop(ctx, syscall.SIGTERM)
	}
	return nil
}

func (p *Process) hold() *private.Process {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = true
	return p.child
}

// Start lets a process that is held down run again.
func (p *Process) Start() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = false
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Signal sends sig to the process if it runs.
func (p *Process) Signal(sig syscall.Signal) error {
	pid, _ := p.Running()
	if pid == 0 {
		return nil
	}
	if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("%s: %w", p.Name, err)
	}
	return nil
}

// Running is the process id, and since when; 0 while it does not run.
func (p *Process) Running() (pid int, since time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.child == nil {
		return 0, time.Time{}
	}
	return p.child.Pid(), p.begun
}

// Exits tells how often and how the process ended by itself.
func (p *Process) Exits() []Exit {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Exit(nil), p.exits...)
}

// Panics returns the lines of the process' log that tell of a crash.
func (p *Process) Panics() ([]string, error) {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return nil, err
	}
	var found []string
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, "panic:") || strings.HasPrefix(line, "fatal error:") || strings.Contains(line, "a handler panicked") {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found, nil
}
