package house

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// StopRedis and ContRedis freeze Redis and let it go on.
func (h *House) StopRedis() error { return signal(h.Redis.Pid(), syscall.SIGSTOP) }

// ContRedis lets a frozen Redis go on.
func (h *House) ContRedis() error { return signal(h.Redis.Pid(), syscall.SIGCONT) }

// StopPostgres freezes Postgres, the postmaster first so that no new backend is
// missed.
func (h *House) StopPostgres() error {
	return errors.Join(signal(h.Postgres.Pid(), syscall.SIGSTOP), h.backends(syscall.SIGSTOP))
}

// ContPostgres lets a frozen Postgres go on.
func (h *House) ContPostgres() error {
	return errors.Join(h.backends(syscall.SIGCONT), signal(h.Postgres.Pid(), syscall.SIGCONT))
}

// backends signals every child of the postmaster.
func (h *House) backends(sig syscall.Signal) error {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return err
	}
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // gone
		}
		// pid (comm) state ppid …; comm may hold anything
		_, rest, _ := strings.Cut(string(b), ") ")
		fields := strings.Fields(rest)
		if len(fields) > 1 && fields[1] == strconv.Itoa(h.Postgres.Pid()) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			if err := signal(pid, sig); err != nil {
				return err
			}
		}
	}
	return nil
}

func signal(pid int, sig syscall.Signal) error {
	if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("signal %d to process %d: %w", sig, pid, err)
	}
	return nil
}

// FillRedis fills the disk that Redis writes to. With appendfsync always Redis
// then ends: it cannot keep what it would have to acknowledge.
func (h *House) FillRedis() error { return h.redisDisk.fill() }

// EmptyRedis makes room again, and starts Redis if it has ended.
func (h *House) EmptyRedis(ctx context.Context) error {
	if err := h.redisDisk.empty(); err != nil {
		return err
	}
	select {
	case <-h.Redis.Ended():
		return h.Redis.Restart(ctx)
	default:
		return nil
	}
}

// FillPostgres fills the disk that Postgres writes to.
func (h *House) FillPostgres() error { return h.pgDisk.fill() }

// EmptyPostgres makes room again, and starts Postgres if it has given up; one
// that recovers by itself is waited for.
func (h *House) EmptyPostgres(ctx context.Context) error {
	if err := h.pgDisk.empty(); err != nil {
		return err
	}
	for {
		err := h.Pool.Ping(ctx)
		if err == nil || ctx.Err() != nil {
			return err
		}
		select {
		case <-h.Postgres.Ended():
			return h.Postgres.Restart(ctx)
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
}
