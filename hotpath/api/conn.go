package api

import (
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// connections are the open ones and their limit. Beyond most, a connection gets
// one answer, 503, and is closed; beyond limit it is refused without being read.
type connections struct {
	most   int
	refuse func(net.Conn)
	start  time.Time // of the clock

	mu   sync.Mutex
	open map[*conn]struct{}

	leaving atomic.Bool   // no more are accepted
	gone    chan struct{} // holds one token when one has gone since
}

func newConnections(most int, refuse func(net.Conn)) *connections {
	return &connections{
		most: most, refuse: refuse, start: time.Now(),
		open: map[*conn]struct{}{}, gone: make(chan struct{}, 1),
	}
}

func (s *connections) limit() int { return s.most + s.most/8 + 16 }

func (s *connections) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

// admit makes nc one of the open connections, or nil beyond the limit.
func (s *connections) admit(nc net.Conn) *conn {
	c := &conn{Conn: nc, conns: s, peer: peer(nc)}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.open) >= s.limit() {
		return nil
	}
	s.open[c] = struct{}{}
	c.over = len(s.open) > s.most
	return c
}

func (s *connections) forget(c *conn) {
	s.mu.Lock()
	delete(s.open, c)
	s.mu.Unlock()
	if s.leaving.Load() {
		select {
		case s.gone <- struct{}{}:
		default:
		}
	}
}

// closeUnused closes the connections that have never sent a byte.
func (s *connections) closeUnused() { s.closeSome(func(c *conn) bool { return !c.used.Load() }) }

func (s *connections) closeAll() { s.closeSome(func(*conn) bool { return true }) }

// closeSome cuts connections; the workers that serve them notice and forget
// them.
func (s *connections) closeSome(which func(*conn) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.open {
		if which(c) {
			_ = c.Conn.Close() // nobody is left to tell
		}
	}
}

// listener hands admitted connections to the server.
type listener struct {
	net.Listener
	conns   *connections
	closing *atomic.Bool
}

// Accept outlasts a lack of file descriptors, which the server would take for
// the end. A server that was shut down before it served accepts nothing.
func (l *listener) Accept() (net.Conn, error) {
	if l.closing.Load() {
		return nil, net.ErrClosed
	}
	for {
		nc, err := l.Listener.Accept()
		if temporary(err) {
			time.Sleep(20 * time.Millisecond) // closing the listener ends the next Accept
			continue
		}
		if err != nil {
			return nil, err
		}
		if c := l.conns.admit(nc); c != nil {
			return c, nil
		}
		l.conns.refuse(nc)
	}
}

func temporary(err error) bool {
	t, ok := err.(interface{ Temporary() bool })
	return ok && t.Temporary()
}

// conn is an open connection and what is known about it.
type conn struct {
	net.Conn
	conns  *connections
	peer   netip.Addr // the zero Addr when it is no IP address
	over   bool
	used   atomic.Bool // has sent something
	linger atomic.Bool // closes only after it has let the client finish sending

	readBy, writeBy atomic.Int64 // deadlines, on the connections' clock; 0: none, or overdue
	request         atomic.Pointer[deadline]
	ending          sync.Mutex // held while the deadlines of Conn are changed
}

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && !c.used.Load() {
		c.used.Store(true)
	}
	return n, err
}

// How long and how much of what a client still sends is thrown away, so that it
// reads the refusal instead of a reset.
const (
	lingerTime  = 500 * time.Millisecond
	lingerBytes = 8 << 20
)

func (c *conn) Close() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok && c.linger.Swap(false) {
		if half.CloseWrite() == nil && c.SetReadDeadline(time.Now().Add(lingerTime)) == nil {
			_, _ = io.CopyN(io.Discard, c.Conn, lingerBytes) // ends with the client or the deadline
		}
	}
	c.conns.forget(c)
	return c.Conn.Close()
}

func peer(nc net.Conn) netip.Addr {
	a, ok := nc.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return a.AddrPort().Addr().Unmap()
}
