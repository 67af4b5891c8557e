package api

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// fasthttp keeps the date of its answers in one goroutine for good.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		// After Shutdown this one sleeps for the rest of its 10 s, then ends.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
}

const serverToken = "a-server-key-for-tests"

var testSecret = []byte("0123456789abcdef0123456789abcdef")

func serverKeySetting() string {
	sum := sha256.Sum256([]byte(serverToken))
	return "tests=sha256:" + hex.EncodeToString(sum[:])
}

// site is a server on a loopback port with its memory.
type site struct {
	*Server
	store   *memory
	addr    string
	metrics *prometheus.Registry
	logged  *lockedBuffer
	served  chan error
}

// start starts a server; change may alter its options first.
func start(t testing.TB, change func(*Options)) *site {
	t.Helper()
	s := &site{store: newMemory(), metrics: prometheus.NewPedanticRegistry(), logged: &lockedBuffer{}, served: make(chan error, 1)}
	log := slog.New(slog.NewJSONHandler(s.logged, nil))
	id, err := NewIdentity(t.Context(), IdentityOptions{Auth: AuthHeader, ServerKeys: []string{serverKeySetting()}, Log: log})
	must(t, err)
	o := Options{
		Counter: s.store, Lists: s.store, Receipts: s.store, Notifications: s.store,
		Identity: id, CursorSecret: testSecret, Log: log, Metrics: s.metrics,
	}
	if change != nil {
		change(&o)
	}
	s.Server, err = New(o)
	must(t, err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	s.addr = ln.Addr().String()
	go func() { s.served <- s.Serve(ln) }()
	t.Cleanup(func() { s.stop(t) })
	return s
}

func (s *site) stop(t testing.TB) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Errorf("shutdown: %v", err)
	}
	if err := <-s.served; err != nil {
		t.Errorf("serve: %v", err)
	}
	s.served <- nil
	s.identity.Close()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
	close  bool
}

func (a *answer) json(t testing.TB) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(a.body, &v); err != nil {
		t.Fatalf("%d %q: %v", a.status, a.body, err)
	}
	return v
}

func (s *site) dial(t testing.TB) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.addr)
	must(t, err)
	must(t, c.SetDeadline(time.Now().Add(30*time.Second)))
	t.Cleanup(func() { c.Close() })
	return c
}

func read(t testing.TB, r *bufio.Reader, method string) *answer {
	t.Helper()
	resp, err := http.ReadResponse(r, &http.Request{Method: method})
	must(t, err)
	body, err := io.ReadAll(resp.Body)
	must(t, err)
	return &answer{resp.StatusCode, resp.Header, body, resp.Close}
}

// raw sends bytes as they are over a connection of their own.
func (s *site) raw(t testing.TB, request string) *answer {
	t.Helper()
	c := s.dial(t)
	_, err := io.WriteString(c, request)
	must(t, err)
	method, _, _ := strings.Cut(request, " ")
	return read(t, bufio.NewReader(c), method)
}

// do sends a request whose target is not normalised on the way. Headers are
// whole lines; a body is sent as JSON.
func (s *site) do(t testing.TB, method, target, body string, headers ...string) *answer {
	t.Helper()
	return s.raw(t, request(method, target, body, headers...))
}

func request(method, target, body string, headers ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: likes\r\n", method, target)
	for _, h := range headers {
		b.WriteString(h + "\r\n")
	}
	if body != "" {
		fmt.Fprintf(&b, "Content-Type: application/json\r\nContent-Length: %d\r\n", len(body))
	}
	return b.String() + "\r\n" + body
}

func as(user string) string { return "X-User-ID: " + user }

func asServer() string { return "Authorization: Bearer " + serverToken }

// wantProblem checks everything that errors have in common.
func wantProblem(t testing.TB, a *answer, status int, code string) map[string]any {
	t.Helper()
	if got := a.header.Get("Content-Type"); got != "application/problem+json" || a.status != status {
		t.Fatalf("got %d %s %q, want %d %s", a.status, got, a.body, status, code)
	}
	p := a.json(t)
	if p["code"] != code || p["status"] != float64(status) || p["title"] != http.StatusText(status) ||
		p["type"] != "about:blank" || p["detail"] == "" {
		t.Fatalf("got %s, want code %s", a.body, code)
	}
	if err := problemSchema().VisitJSON(p, openapi3.EnableJSONSchema2020()); err != nil {
		t.Fatalf("%s is not as the description says: %v", a.body, err)
	}
	if id := a.header.Get("X-Request-Id"); id == "" || p["request_id"] != id {
		t.Fatalf("the document has request id %v, the header %q", p["request_id"], id)
	}
	if a.header.Get("Server") != "" || a.header.Get("Cache-Control") != "private, no-store" {
		if a.header.Get("Retry-After") == "" { // the listener's own refusal has fewer headers
			t.Fatalf("headers %v", a.header)
		}
	}
	return p
}

func wantBody(t testing.TB, a *answer, want string) {
	t.Helper()
	if a.status != 200 || string(a.body) != want || a.header.Get("Content-Type") != "application/json" {
		t.Fatalf("got %d %s %s\nwant 200 %s", a.status, a.header.Get("Content-Type"), a.body, want)
	}
}

// eventually waits for something that another goroutine brings about.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatal("never: " + what)
		}
		time.Sleep(time.Millisecond)
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
