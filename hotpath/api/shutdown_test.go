package api

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"plusone/hotpath/like"
)

func TestShutdownAnswersWhatItAccepted(t *testing.T) {
	s := start(t, nil)
	const n = 8
	entered, leave := make(chan struct{}, n), make(chan struct{})
	s.store.before = func(context.Context, []like.Op) { entered <- struct{}{}; <-leave }
	var conns []net.Conn
	for range n {
		c := s.dial(t)
		_, err := io.WriteString(c, request("PUT", "/v1/items/a/like", "", as("u")))
		must(t, err)
		conns = append(conns, c)
	}
	for range n {
		<-entered
	}
	late := s.dial(t) // its first request is on the way when the server closes
	eventually(t, "the connection is open", func() bool { return s.conns.count() == n+1 })
	ended := make(chan error, 1)
	began := time.Now()
	go func() { ended <- s.Shutdown(context.Background()) }()
	eventually(t, "new connections are refused", func() bool {
		c, err := net.Dial("tcp", s.addr)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	select {
	case err := <-ended:
		t.Fatalf("ended before the answers: %v", err)
	default:
	}
	_, err := io.WriteString(late, request("GET", "/v1/items/a", ""))
	if time.Since(began) < leaveTime+unusedGrace/2 { // a machine that stood still has brought it too late
		must(t, err)
		conns = append(conns, late)
	}
	close(leave)
	for i, c := range conns {
		if a := read(t, bufio.NewReader(c), "PUT"); a.status != 200 || !a.close {
			t.Errorf("connection %d: %d %s, close %t", i, a.status, a.body, a.close)
		}
	}
	must(t, <-ended)
}

func TestSilentConnectionsDoNotHoldShutdownUp(t *testing.T) {
	s := start(t, func(o *Options) { o.ReadTimeout = time.Minute })
	silent, idle := s.dial(t), s.dial(t)
	_, err := io.WriteString(idle, request("GET", "/v1/items/a", ""))
	must(t, err)
	read(t, bufio.NewReader(idle), "GET")
	eventually(t, "both are open", func() bool { return s.conns.count() == 2 })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // far less than what they have to send something
	defer cancel()
	must(t, s.Shutdown(ctx))
	for _, c := range []net.Conn{silent, idle} {
		if _, err := io.Copy(io.Discard, c); err != nil {
			t.Errorf("the connection did not end: %v", err)
		}
	}
}

func TestShutdownEndsWithItsContext(t *testing.T) {
	s := start(t, func(o *Options) { o.ReadTimeout = time.Minute })
	half := s.dial(t)
	_, err := io.WriteString(half, "PUT /v1/items/a/like HT")
	must(t, err)
	eventually(t, "it has sent something", func() bool {
		s.conns.mu.Lock()
		defer s.conns.mu.Unlock()
		for c := range s.conns.open {
			return c.used.Load()
		}
		return false
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
	eventually(t, "the connection is cut", func() bool { return s.conns.count() == 0 })
	if s.store.applied() != 0 {
		t.Error("something was applied")
	}
}

func TestServeAfterShutdownEndsAtOnce(t *testing.T) {
	m := newMemory()
	s, err := New(Options{
		Counter: m, Lists: m, Receipts: m, Notifications: m, CursorSecret: testSecret,
		Identity: newIdentity(t, IdentityOptions{Auth: AuthHeader}), Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
	})
	must(t, err)
	must(t, s.Shutdown(t.Context()))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	must(t, s.Serve(ln))
	if _, err := net.Dial("tcp", ln.Addr().String()); err == nil {
		t.Error("the listener is still open")
	}
}

func TestBusyClientsLeaveWithoutAnError(t *testing.T) {
	s := start(t, nil)
	var clients sync.WaitGroup
	var cut atomic.Int32
	for range 20 {
		clients.Go(func() {
			c := s.dial(t)
			r := bufio.NewReader(c)
			for before := time.Now(); ; {
				now := time.Now()
				_, err := io.WriteString(c, request("GET", "/v1/items/a", ""))
				var resp *http.Response
				if err == nil {
					resp, err = http.ReadResponse(r, nil)
				}
				if err != nil {
					if time.Since(before) < leaveTime { // or the machine let it ask too seldom to be busy
						cut.Add(1)
					}
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				if resp.Close {
					return
				}
				before = now // asked then, and answered
			}
		})
	}
	for s.conns.count() < 20 {
		runtime.Gosched()
	}
	must(t, s.Shutdown(t.Context()))
	clients.Wait()
	if n := cut.Load(); n > 0 {
		t.Errorf("%d of 20 busy clients were cut", n)
	}
}
