package api

import (
	"net"
	"syscall"
	"time"
)

// viewer is a stream: a connection that is written to and never read. Its fields
// belong to the hub's lock.
type viewer struct {
	conn  net.Conn
	raw   syscall.RawConn
	items []*subject
	told  uint64    // the tick up to which it knows everything
	last  time.Time // of the last write
}

// newViewer takes conn over when it is one that can be written to without waiting.
func newViewer(conn net.Conn) (*viewer, bool) {
	c, ok := conn.(syscall.Conn)
	if !ok {
		return nil, false
	}
	raw, err := c.SyscallConn()
	return &viewer{conn: conn, raw: raw}, err == nil
}

// send writes b without waiting, and reports whether the kernel took all of it.
// After a part of it the stream makes no sense any more.
func (v *viewer) send(b []byte, now time.Time) bool {
	var n int
	var err error
	if fails := v.raw.Write(func(fd uintptr) bool {
		n, err = syscall.Write(int(fd), b)
		return true
	}); fails != nil || err != nil || n < len(b) {
		return false
	}
	v.last = now
	return true
}

func (v *viewer) close() { _ = v.conn.Close() } // whoever reads there sees an end in any case
