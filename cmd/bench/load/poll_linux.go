package load

import (
	"errors"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// poll waits for connections to become readable.
type poll struct {
	fd     int
	events [512]unix.EpollEvent
}

func newPoll() (*poll, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("load: epoll: %w", err)
	}
	// Timers of this thread are to fire when they are due, not up to 50 µs later.
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("load: timer slack: %w", err)
	}
	return &poll{fd: fd}, nil
}

func (p *poll) add(fd, index int) error {
	return unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(index)})
}

// wait calls ready with the index of each readable connection, having waited for
// one for at most d.
//
// The first look does not wait, so it need not tell the scheduler that it may;
// under load it mostly finds something.
func (p *poll) wait(d time.Duration, ready func(index int) error) error {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.fd), uintptr(unsafe.Pointer(&p.events[0])), uintptr(len(p.events)), 0, 0, 0)
	if n == 0 && d > 0 {
		left := unix.NsecToTimespec(int64(d))
		n, _, errno = unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(p.fd), uintptr(unsafe.Pointer(&p.events[0])), uintptr(len(p.events)),
			uintptr(unsafe.Pointer(&left)), 0, 0)
	}
	switch {
	case errors.Is(errno, unix.EINTR):
		return nil
	case errno != 0:
		return fmt.Errorf("load: wait: %w", errno)
	}
	for _, e := range p.events[:n] {
		if err := ready(int(e.Fd)); err != nil {
			return err
		}
	}
	return nil
}

func (p *poll) close() error { return unix.Close(p.fd) }

// read and write never wait: their sockets don't.
func read(fd int, b []byte) (int, error) {
	return once(unix.SYS_READ, fd, b)
}

func write(fd int, b []byte) (int, error) {
	return once(unix.SYS_WRITE, fd, b)
}

func once(call uintptr, fd int, b []byte) (int, error) {
	n, _, errno := unix.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
