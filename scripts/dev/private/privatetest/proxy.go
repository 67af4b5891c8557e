package privatetest

import (
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// Proxy stands between a client and a TCP server and does what networks do. Its
// methods may be called at any time from any goroutine.
type Proxy struct {
	listener net.Listener
	target   string
	wg       sync.WaitGroup
	closed   chan struct{}

	mu    sync.Mutex
	conns map[net.Conn]struct{}
	drop  bool
	cut   bool
	delay time.Duration
}

// NewProxy starts a proxy to target, "host:port" or a URL of one, for this test.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	if _, rest, ok := strings.Cut(target, "://"); ok {
		target = rest[strings.LastIndex(rest, "@")+1:]
		target, _, _ = strings.Cut(target, "/")
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{listener: l, target: target, closed: make(chan struct{}), conns: map[net.Conn]struct{}{}}
	p.wg.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

// Addr is where clients connect, "127.0.0.1:port".
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// DropReplies on: requests still reach the server, what it answers is swallowed.
// Off does not bring swallowed bytes back, so a connection that missed a reply
// is of no use to its client.
func (p *Proxy) DropReplies(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop = on
}

// Cut on closes all connections, and every new one as soon as it is made.
func (p *Proxy) Cut(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = on
	if on {
		p.closeConns()
	}
}

// Delay holds every chunk of bytes towards the server back for d.
func (p *Proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return // closed by close
		}
		p.wg.Go(func() { p.serve(client) })
	}
}

// serve owns both connections of one client.
func (p *Proxy) serve(client net.Conn) {
	if !p.hold(client) {
		return
	}
	defer p.release(client)
	server, err := net.DialTimeout("tcp4", p.target, time.Second)
	if err != nil || !p.hold(server) {
		return
	}
	defer p.release(server)
	var both sync.WaitGroup
	both.Go(func() { p.copy(server, client, p.request) })
	both.Go(func() { p.copy(client, server, p.reply) })
	both.Wait()
}

// copy moves chunks that pass lets through until either side is gone, then ends
// the other direction too.
func (p *Proxy) copy(dst, src net.Conn, pass func() bool) {
	defer func() { _, _ = dst.Close(), src.Close() }()
	buf := make([]byte, 64<<10)
	for {
		n, err := src.Read(buf)
		if n > 0 && pass() {
			if _, err := dst.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (p *Proxy) request() bool {
	p.mu.Lock()
	d := p.delay
	p.mu.Unlock()
	if d > 0 {
		select {
		case <-time.After(d):
		case <-p.closed:
		}
	}
	return true
}

func (p *Proxy) reply() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.drop
}

// hold remembers c so that Cut and close can end it; it closes c at once when
// that has already happened.
func (p *Proxy) hold(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cut || p.conns == nil {
		_ = c.Close()
		return false
	}
	p.conns[c] = struct{}{}
	return true
}

func (p *Proxy) release(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = c.Close()
	delete(p.conns, c)
}

func (p *Proxy) closeConns() {
	for c := range p.conns {
		_ = c.Close()
	}
}

func (p *Proxy) close() {
	close(p.closed)
	_ = p.listener.Close()
	p.mu.Lock()
	p.closeConns()
	p.conns = nil
	p.mu.Unlock()
	p.wg.Wait()
}
