package private

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// RedisOptions says how a private Redis runs.
type RedisOptions struct {
	Dir         string   // where its data and log lie; made if missing
	AppendFsync string   // "always" (default) or "everysec"
	Extra       []string // further arguments of redis-server
}

// Redis is a redis-server of this process. Its methods are for one goroutine.
type Redis struct {
	opts RedisOptions
	bin  string
	port int
	proc *Process
}

// StartRedis starts redis-server with an append-only file, no snapshots and no
// eviction, and returns once it has loaded its data and answers PING.
func StartRedis(ctx context.Context, o RedisOptions) (*Redis, error) {
	bin, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, fmt.Errorf("redis-server is %w (Debian: apt-get install redis-server)", ErrMissing)
	}
	if o.AppendFsync == "" {
		o.AppendFsync = "always"
	}
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return nil, fmt.Errorf("redis directory: %w", err)
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("redis directory: %w", err)
	}
	if err := awaitPredecessor(ctx, o.Dir); err != nil {
		return nil, err
	}
	r := &Redis{opts: o, bin: bin}
	err = onFreePort(func(port int) error {
		r.port = port
		return r.start(ctx)
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// awaitPredecessor waits while the server that last used dir still runs: one
// whose parent was killed ends a moment after it, and two on one append-only
// file would spoil it. (It sees processes on Linux only.)
func awaitPredecessor(ctx context.Context, dir string) error {
	b, err := os.ReadFile(filepath.Join(dir, "redis.pid"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("redis directory: %w", err)
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return fmt.Errorf("redis directory: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	pid := strings.TrimSpace(string(b))
	for {
		cwd, err := os.Readlink("/proc/" + pid + "/cwd")
		if err != nil || cwd != dir {
			return nil // it is gone, and its number may be somebody else's
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("another redis-server (pid %s) runs on %s", pid, dir)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// errPortTaken: another process listens where ours was to.
var errPortTaken = errors.New("the port was taken by another process")

// onFreePort calls start with a free port, again if it was taken meanwhile.
func onFreePort(start func(port int) error) error {
	for try := 0; ; try++ {
		port, err := freePort()
		if err != nil {
			return err
		}
		err = start(port)
		if !errors.Is(err, errPortTaken) || try == 5 {
			return err
		}
	}
}

// URL is what clients connect to.
func (r *Redis) URL() string { return "redis://" + address(r.port) + "/0" }

// Ended is closed when the server has ended, by whatever cause.
func (r *Redis) Ended() <-chan struct{} { return r.proc.done }

// Pid is the server's process id.
func (r *Redis) Pid() int { return r.proc.cmd.Process.Pid }

// Stop lets the server write what it holds and end. When ctx ends first it is
// killed, and the error says so.
func (r *Redis) Stop(ctx context.Context) error { return r.proc.Stop(ctx, syscall.SIGTERM) }

// Kill ends the server at once, as a crash would.
func (r *Redis) Kill() { r.proc.Kill() }

// Restart starts the server again on its port and directory, after stopping
// it if it runs.
func (r *Redis) Restart(ctx context.Context) error {
	if err := r.Stop(ctx); err != nil {
		return err
	}
	return r.start(ctx)
}

func (r *Redis) start(ctx context.Context) error {
	args := []string{
		"--port", strconv.Itoa(r.port), "--bind", "127.0.0.1", "--dir", r.opts.Dir,
		"--logfile", filepath.Join(r.opts.Dir, "redis.log"), "--daemonize", "no",
		"--pidfile", filepath.Join(r.opts.Dir, "redis.pid"),
		"--appendonly", "yes", "--appendfsync", r.opts.AppendFsync,
		"--save", "", "--maxmemory-policy", "noeviction",
	}
	proc, err := Spawn(exec.Command(r.bin, append(args, r.opts.Extra...)...))
	if err != nil {
		return err
	}
	r.proc = proc
	if err := r.ready(ctx); err != nil {
		proc.Kill()
		return err
	}
	return nil
}

// ready waits until our own server answers. One that still loads its data says
// so and is waited for.
func (r *Redis) ready(ctx context.Context) error {
	for {
		pid, err := redisPid(ctx, address(r.port))
		switch {
		case err == nil && pid == r.Pid():
			return nil
		case err == nil:
			return fmt.Errorf("redis-server on %s: %w", address(r.port), errPortTaken)
		case r.proc.ended():
			return r.failure()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("redis-server on %s is not ready (%w): %w", address(r.port), err, ctx.Err())
		case <-r.proc.done:
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// failure tells why the server ended before it was ready.
func (r *Redis) failure() error {
	logged := tail(filepath.Join(r.opts.Dir, "redis.log"))
	if strings.Contains(logged, "Address already in use") {
		return fmt.Errorf("redis-server on %s: %w", address(r.port), errPortTaken)
	}
	return fmt.Errorf("redis-server ended at its start (%w): %s; its log is in %s", r.proc.err, complaint(logged), r.opts.Dir)
}

// redisPid asks the server at addr for its process id. A server that is still
// loading its data answers an error.
func redisPid(ctx context.Context, addr string) (pid int, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp4", addr)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	end, _ := ctx.Deadline()
	if err := conn.SetDeadline(end); err != nil {
		return 0, err
	}
	if _, err := io.WriteString(conn, "PING\r\nINFO server\r\n"); err != nil {
		return 0, err
	}
	in := bufio.NewScanner(conn)
	for first := true; in.Scan(); first = false {
		line := in.Text()
		if first && line != "+PONG" {
			return 0, fmt.Errorf("answered %q", line)
		}
		if v, ok := strings.CutPrefix(line, "process_id:"); ok {
			return strconv.Atoi(v)
		}
	}
	return 0, errors.Join(in.Err(), io.ErrUnexpectedEOF)
}

// tail is the last 2 kB of a log, for an error message.
func tail(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(b[max(0, len(b)-2048):]))
}
