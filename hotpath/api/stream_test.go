package api

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"plusone/hotpath/like"
)

// view is the client's side of a stream.
type view struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
}

// open opens a stream.
func (s *site) open(t *testing.T, query string, headers ...string) *view {
	t.Helper()
	c := s.dial(t)
	_, err := io.WriteString(c, request("GET", "/v1/stream?"+query, "", headers...))
	must(t, err)
	res, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: "GET"})
	must(t, err)
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" || res.Header.Get("X-Request-Id") == "" {
		t.Fatalf("%d %v", res.StatusCode, res.Header)
	}
	v := &view{t, c, bufio.NewReader(res.Body)}
	if !strings.HasPrefix(v.event(), "retry: ") {
		t.Fatal("it does not say when to come back")
	}
	return v
}

// event reads up to the next empty line.
func (v *view) event() string {
	v.t.Helper()
	var b strings.Builder
	for {
		line, err := v.r.ReadString('\n')
		must(v.t, err)
		if line == "\n" {
			return b.String()
		}
		b.WriteString(line)
	}
}

func (v *view) wantCount(item string, n int) {
	v.t.Helper()
	if got := v.event(); !strings.Contains(got, "event: count\n") || !strings.HasPrefix(got, "id: ") ||
		!strings.Contains(got, fmt.Sprintf(`data: {"item":%q,"count":%d,"as_of":`, item, n)) {
		v.t.Fatalf("got %q, want %s %d", got, item, n)
	}
}

// silent fails when something comes within d.
func (v *view) silent(d time.Duration) {
	v.t.Helper()
	must(v.t, v.conn.SetReadDeadline(time.Now().Add(d)))
	if b, err := v.r.ReadByte(); err == nil {
		v.t.Fatalf("got %q", b)
	}
	must(v.t, v.conn.SetReadDeadline(time.Now().Add(10*time.Second)))
}

func (s *site) like(item string, users ...string) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	for _, u := range users {
		s.store.apply(like.Op{Item: item, User: u, Want: like.Liked})
	}
}

func fast(o *Options) { o.StreamEvery = 20 * time.Millisecond }

func TestAStreamTellsCountsAtOnceAndWhenTheyChange(t *testing.T) {
	s := start(t, fast)
	s.like("a", "u")
	v := s.open(t, "id=b&id=a&id=b")
	v.wantCount("a", 1)
	v.wantCount("b", 0)
	v.silent(100 * time.Millisecond)
	s.like("b", "u", "w")
	v.wantCount("b", 2)
	s.like("a", "w")
	v.wantCount("a", 2)
}

func TestWhoComesBackIsToldWhatHasChangedSince(t *testing.T) {
	s := start(t, fast)
	stays := s.open(t, "id=a&id=b")
	stays.wantCount("a", 0)
	stays.wantCount("b", 0)
	// The store's readings are all of one moment.
	long := s.open(t, "id=a&id=b", fmt.Sprintf("Last-Event-ID: %d", 1_700_000_000_042+doubt.Milliseconds()))
	long.silent(100 * time.Millisecond)
	short := s.open(t, "id=a", "Last-Event-ID: 1700000000042")
	short.wantCount("a", 0)
	s.open(t, "id=a", "Last-Event-ID: no number").wantCount("a", 0)
}

func TestAStreamIsRefusedWithoutItemsOrPlaces(t *testing.T) {
	s := start(t, func(o *Options) { fast(o); o.MaxStreams = 1 })
	wantProblem(t, s.do(t, "GET", "/v1/stream", ""), 400, "bad_query")
	wantProblem(t, s.do(t, "POST", "/v1/stream?id=a", ""), 405, "method_not_allowed")
	v := s.open(t, "id=a")
	wantProblem(t, s.do(t, "GET", "/v1/stream?id=a", ""), 503, "overloaded")
	must(t, v.conn.Close())
	eventually(t, "the place is free", func() bool {
		s.like("a", fmt.Sprint(time.Now()))
		return s.hub.places.Load() == 0
	})
	s.open(t, "id=a")
}

func TestAStreamOfWhatCannotBeReadIsRefusedAndItsPlaceIsFree(t *testing.T) {
	s := start(t, fast)
	s.store.fail = like.ErrUnavailable
	wantProblem(t, s.do(t, "GET", "/v1/stream?id=a", ""), 503, "unavailable")
	if n := s.hub.places.Load(); n != 0 {
		t.Errorf("%d places are taken", n)
	}
}

// A viewer that does not read fills its buffers and is closed; the others hear of
// changes meanwhile.
func TestAViewerThatDoesNotReadHoldsUpNobody(t *testing.T) {
	s := start(t, fast)
	long := func(i int) string { return fmt.Sprint(strings.Repeat("x", 120), i) }
	var query strings.Builder
	for i := range maxItems {
		fmt.Fprintf(&query, "&id=%s", long(i))
	}
	stuck := s.open(t, query.String()[1:])
	well := s.open(t, "id=a")
	well.wantCount("a", 0)
	for i := 1; s.hub.dropped.Load() == 0; i++ {
		for j := range maxItems {
			s.like(long(j), fmt.Sprint(i))
		}
		s.like("a", fmt.Sprint(i))
		well.wantCount("a", i)
	}
	for {
		if _, err := stuck.r.ReadByte(); err != nil {
			break // what was on its way, and then the end
		}
	}
}

func TestTheEndOfTheServerEndsStreams(t *testing.T) {
	s := start(t, fast)
	v := s.open(t, "id=a")
	v.wantCount("a", 0)
	if n := s.conns.count(); n != 0 {
		t.Errorf("a stream is one of %d connections", n)
	}
	s.stop(t) // which tells when the server does not end by itself
	if _, err := v.r.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("the stream goes on: %v", err)
	}
}
