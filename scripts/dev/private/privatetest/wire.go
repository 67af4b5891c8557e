package privatetest

import (
	"context"
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

// Wire is the way to one store. It tells where new connections lead and loses
// the exchange (a request and its reply) that a test has chosen: the request
// before the store has seen it, or the reply after the store has done its work.
// It is the crash of whoever asked, too: nothing more comes over that connection.
type Wire struct {
	mu     sync.Mutex
	target string // host:port; "": where the client wants to go
	conns  map[*conn]struct{}
	left   int // exchanges until the one that is lost, -1: none
	after  bool
	lost   int
	late   func() // called instead, before the request goes out
}

// NewWire leads where the client wants to go, and loses nothing.
func NewWire() *Wire { return &Wire{conns: map[*conn]struct{}{}, left: -1} }

// Lose loses the n-th exchange from now on: its reply, or its request.
func (w *Wire) Lose(n int, reply bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.left, w.after, w.lost = n, reply, 0
}

// Delay holds the n-th exchange from now on back until meanwhile has returned.
func (w *Wire) Delay(n int, meanwhile func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.left, w.late, w.lost = n, meanwhile, 0
}

// Calm ends the losses and tells whether there was one.
func (w *Wire) Calm() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.left, w.late = -1, nil
	return w.lost > 0
}

// Move leads to another server; all connections end.
func (w *Wire) Move(target string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.target = target
	for c := range w.conns {
		_ = c.Conn.Close()
	}
}

// Dial is for the options of a client.
func (w *Wire) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	w.mu.Lock()
	if w.target != "" {
		addr = w.target
	}
	w.mu.Unlock()
	raw, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: raw, wire: w}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conns[c] = struct{}{}
	return c, nil
}

// fate is what happens to an exchange.
type fate int

const (
	passes fate = iota
	requestLost
	replyLost
)

func (w *Wire) next() fate {
	fate, late := w.decide()
	if late != nil {
		late()
	}
	return fate
}

func (w *Wire) decide() (fate, func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.left < 0 {
		return passes, nil
	}
	w.left--
	switch {
	case w.left >= 0:
		return passes, nil
	case w.late != nil:
		return passes, w.late
	}
	w.lost++
	if w.after {
		return replyLost, nil
	}
	return requestLost, nil
}

// conn is used by one goroutine at a time for each direction.
type conn struct {
	net.Conn
	wire *Wire

	mu    sync.Mutex
	asked bool // a request is under way
	fate  fate
}

func (c *conn) ask() fate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.asked {
		c.asked, c.fate = true, c.wire.next()
	}
	return c.fate
}

func (c *conn) Write(b []byte) (int, error) {
	if c.ask() == requestLost {
		_ = c.Conn.Close()
		return len(b), nil
	}
	return c.Conn.Write(b)
}

func (c *conn) Read(b []byte) (int, error) {
	c.mu.Lock()
	lost := c.fate
	c.mu.Unlock()
	switch lost {
	case requestLost:
		return 0, io.EOF
	case replyLost:
		c.await(b)
		return 0, io.EOF
	}
	n, err := c.Conn.Read(b)
	c.mu.Lock()
	c.asked = false
	c.mu.Unlock()
	return n, err
}

// await lets the store do all of the request: after the end of what it is sent it
// ends the connection, too.
func (c *conn) await(b []byte) {
	_ = c.Conn.SetReadDeadline(time.Now().Add(time.Second))
	_ = c.Conn.(*net.TCPConn).CloseWrite()
	for err := error(nil); err == nil; {
		_, err = c.Conn.Read(b)
	}
	_ = c.Conn.Close()
}

func (c *conn) Close() error {
	c.wire.mu.Lock()
	delete(c.wire.conns, c)
	c.wire.mu.Unlock()
	return c.Conn.Close()
}

// SyscallConn lets clients see that an idle connection has ended.
func (c *conn) SyscallConn() (syscall.RawConn, error) { return c.Conn.(syscall.Conn).SyscallConn() }
