package private

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"syscall"
)

// Process is a running child. Its goroutine ends when the child has ended.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed once the child has been waited for
	err  error         // how it ended; read after done
}

// Spawn starts cmd in a group of its own and ties its life to this process.
//
// The kernel sends the parent-death signal when the *thread* that forked ends,
// so the goroutine keeps its thread until the child is gone.
func Spawn(cmd *exec.Cmd) (*Process, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	dieWithParent(cmd.SysProcAttr)
	p := &Process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		p.err = cmd.Wait()
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return p, nil
}

// Pid is the child's process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Ended is closed when the child has ended and been waited for.
func (p *Process) Ended() <-chan struct{} { return p.done }

// How tells how the child ended, nil for exit code 0, once Ended is closed.
func (p *Process) How() error { return p.err }

// ended tells whether the child is gone.
func (p *Process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// Stop asks with sig, waits, and kills when ctx ends first.
func (p *Process) Stop(ctx context.Context, sig syscall.Signal) error {
	if p.ended() {
		return nil
	}
	if err := syscall.Kill(p.cmd.Process.Pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("stop %s: %w", p.cmd.Path, err)
	}
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		p.Kill()
		return fmt.Errorf("stop %s: killed, because it did not end in time: %w", p.cmd.Path, ctx.Err())
	}
}

// Kill ends the child and its group at once and waits for the child.
func (p *Process) Kill() {
	if !p.ended() {
		// An error can only mean that it ended in between.
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	}
	<-p.done
}
