package api

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/url"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"plusone/hotpath/like"
)

func TestABodyThatIsTooLargeIsRefused(t *testing.T) {
	s := start(t, func(o *Options) { o.MaxBody = 1000 })
	big := strings.Repeat("x", 1001)
	for name, request := range map[string]string{
		"likes":    request("POST", "/v1/likes", big, asServer()),
		"a like":   request("PUT", "/v1/items/a/like", big, as("u")),
		"chunked":  request("POST", "/v1/likes", "", asServer(), "Transfer-Encoding: chunked") + fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(big), big),
		"announce": request("POST", "/v1/likes", "", asServer(), "Content-Length: 100000000000"),
		"unread":   request("POST", "/v1/likes", strings.Repeat("x", lingerBytes*3/4), asServer()),
	} {
		a := s.raw(t, request)
		wantProblem(t, a, 413, "body_too_large")
		if !a.close {
			t.Errorf("%s: the connection stays open", name)
		}
	}
	if a := s.do(t, "PUT", "/v1/items/a/like", strings.Repeat("x", 1000), as("u")); a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if s.store.applied() != 1 {
		t.Error("something was applied")
	}
}

func TestARequestThatArrivesTooSlowlyIsCutOff(t *testing.T) {
	s := start(t, func(o *Options) { o.ReadTimeout = 150 * time.Millisecond })
	for name, sent := range map[string]string{
		"nothing":     "",
		"half a line": "PUT /v1/items/a/li",
		"no end":      "PUT /v1/items/a/like HTTP/1.1\r\nHost: h\r\nX-User-ID: u\r\n",
		"half a body": "PUT /v1/items/a/like HTTP/1.1\r\nHost: h\r\nX-User-ID: u\r\nContent-Length: 9\r\n\r\nx",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := s.raw(t, sent)
			wantProblem(t, a, 408, "request_timeout")
		})
	}
}

func TestAConnectionThatDripsIsCutOffToo(t *testing.T) {
	s := start(t, func(o *Options) { o.ReadTimeout = 150 * time.Millisecond })
	c := s.dial(t)
	stop := make(chan struct{})
	var drip sync.WaitGroup
	drip.Go(func() {
		_, _ = io.WriteString(c, "PUT /v1/items/a/like HTTP/1.1\r\nHost: h\r\nX-Slow: ")
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
				_, _ = io.WriteString(c, "x")
			}
		}
	})
	wantProblem(t, read(t, bufio.NewReader(c), "PUT"), 408, "request_timeout")
	close(stop)
	drip.Wait()
}

func TestAnIdleConnectionIsClosed(t *testing.T) {
	s := start(t, func(o *Options) { o.IdleTimeout = 50 * time.Millisecond })
	c := s.dial(t)
	r := bufio.NewReader(c)
	ask := request("GET", "/v1/items/a", "")
	_, err := io.WriteString(c, ask+ask) // at once: between two the connection would be idle
	must(t, err)
	for range 2 {
		if a := read(t, r, "GET"); a.status != 200 || a.close {
			t.Fatalf("%d, close %t", a.status, a.close)
		}
	}
	if _, err := r.ReadByte(); err != io.EOF {
		t.Fatalf("got %v, want the end", err)
	}
	eventually(t, "no connection is counted", func() bool { return s.conns.count() == 0 })
}

func TestTooManyConnectionsAreToldSo(t *testing.T) {
	s := start(t, func(o *Options) { o.MaxConns = 2 })
	ask := func(c net.Conn) *answer {
		_, err := io.WriteString(c, request("GET", "/v1/items/a", ""))
		must(t, err)
		return read(t, bufio.NewReader(c), "GET")
	}
	var open []net.Conn
	for range 2 {
		open = append(open, s.dial(t))
		if a := ask(open[len(open)-1]); a.status != 200 {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	for range 3 {
		a := ask(s.dial(t))
		wantProblem(t, a, 503, "overloaded")
		if !a.close || a.header.Get("Retry-After") == "" {
			t.Errorf("%v", a.header)
		}
	}
	eventually(t, "the refused ones are gone", func() bool { return s.conns.count() == 2 })
	for s.conns.count() < s.conns.limit() { // up to where nothing is read any more
		n := s.conns.count()
		s.dial(t)
		eventually(t, "the connection is counted", func() bool { return s.conns.count() != n })
	}
	c := s.dial(t)
	wantProblem(t, read(t, bufio.NewReader(c), "GET"), 503, "overloaded")
	if a := ask(open[0]); a.status != 200 {
		t.Errorf("a connection from before: %d", a.status)
	}
}

func TestTooManyRequestsAtOnceAreToldSo(t *testing.T) {
	s := start(t, func(o *Options) { o.MaxInFlight = 1 })
	entered, leave := make(chan struct{}), make(chan struct{})
	s.store.before = func(context.Context, []like.Op) { entered <- struct{}{}; <-leave }
	done := make(chan *answer)
	go func() { done <- s.do(t, "PUT", "/v1/items/a/like", "", as("u")) }()
	<-entered
	wantProblem(t, s.do(t, "GET", "/v1/items/a", ""), 503, "overloaded")
	close(leave)
	if a := <-done; a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := s.do(t, "GET", "/v1/items/a", ""); a.status != 200 {
		t.Errorf("%d %s after", a.status, a.body)
	}
}

func TestAStoreThatHangsIsGivenUpOn(t *testing.T) {
	s := start(t, func(o *Options) { o.OpTimeout = 30 * time.Millisecond })
	s.store.before = func(ctx context.Context, _ []like.Op) {
		if _, ok := ctx.Deadline(); !ok {
			t.Error("the context has no deadline")
		}
		<-ctx.Done()
	}
	wantProblem(t, s.do(t, "PUT", "/v1/items/a/like", "", as("u")), 503, "outcome_unknown")
	wantProblem(t, s.do(t, "POST", "/v1/likes", opsBody(2), asServer()), 503, "outcome_unknown")
}

func TestAPanicIsAProblemAndNotTheEnd(t *testing.T) {
	s := start(t, nil)
	s.store.before = func(context.Context, []like.Op) {
		panic("something that only the log may tell")
	}
	a := s.do(t, "PUT", "/v1/items/a/like", "", as("u"), "X-Request-Id: find-me")
	wantProblem(t, a, 500, "internal")
	if strings.Contains(string(a.body), "only the log") {
		t.Errorf("the answer tells %s", a.body)
	}
	if l := s.logged.String(); !strings.Contains(l, "only the log") || !strings.Contains(l, "find-me") || strings.Count(l, "\n") != 1 {
		t.Errorf("logged %s", l)
	}
	if a := s.do(t, "GET", "/v1/items/a", ""); a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if n := s.inFlight.Load(); n != 0 {
		t.Errorf("%d in flight", n)
	}
}

func TestWhatPostgresRefusesForGoodIsTheClientsToMend(t *testing.T) {
	s := start(t, nil)
	s.store.failOp = func(like.Op) error { return fmt.Errorf("check constraint of 10.1.2.3: %w", like.ErrRefused) }
	if a := s.do(t, "PUT", "/v1/items/a/like", "", as("u")); strings.Contains(wantProblem(t, a, 422, "refused")["detail"].(string), "10.1.2.3") {
		t.Errorf("the answer tells %s", a.body)
	}
}

func TestAnOutageDoesNotFloodTheLog(t *testing.T) {
	s := start(t, nil)
	s.store.fail = like.ErrUnavailable
	began := time.Now()
	for range 50 {
		wantProblem(t, s.do(t, "PUT", "/v1/items/a/like", "", as("u")), 503, "unavailable")
	}
	most := 2 + int(time.Since(began)/time.Second)
	if n := strings.Count(s.logged.String(), "\n"); n < 1 || n > most {
		t.Errorf("%d lines, want 1 to %d", n, most)
	}
}

func TestMetricsCountByPatternAndNeverByPath(t *testing.T) {
	s := start(t, nil)
	s.do(t, "PUT", "/v1/items/secret/like", "", as("u"))
	s.do(t, "PUT", "/v1/items/secret/like", "", as("u"))
	s.do(t, "DELETE", "/v1/items/secret/like", "")
	s.do(t, "BREW", "/secret", "")
	s.store.failOp = func(like.Op) error { return like.ErrBusy }
	s.do(t, "POST", "/v1/likes", opsBody(3), asServer())
	s.raw(t, "nonsense\r\n\r\n")
	got := counters(t, s.metrics)
	want := map[string]float64{
		`plusone_http_requests_total 200 PUT /v1/items/{item}/like`:    2,
		`plusone_http_requests_total 400 GET malformed`:                1,
		`plusone_http_requests_total 401 DELETE /v1/items/{item}/like`: 1,
		`plusone_http_requests_total 404 other none`:                   1,
		`plusone_http_requests_total 503 POST /v1/likes`:               1,
		`plusone_ops_total busy`:                                       3,
		`plusone_ops_total changed`:                                    1,
		`plusone_ops_total outcome_unknown`:                            0,
		`plusone_ops_total unavailable`:                                0,
		`plusone_ops_total unchanged`:                                  1,
		`plusone_stream_events_total`:                                  0,
		`plusone_streams_dropped_total`:                                0,
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
}

// counters are all counters, named with their labels' values.
func counters(t *testing.T, from *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := from.Gather()
	must(t, err)
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	must(t, err)
	if len(problems) > 0 {
		t.Error(problems)
	}
	all := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			if m.Counter != nil {
				all[name] = m.GetCounter().GetValue()
			}
		}
	}
	return all
}

func TestOptionsThatCannotBeMeant(t *testing.T) {
	good := func() Options {
		m := newMemory()
		return Options{
			Counter: m, Lists: m, Receipts: m, Notifications: m, CursorSecret: testSecret,
			Identity: newIdentity(t, IdentityOptions{Auth: AuthHeader}), Log: start(t, nil).log, Metrics: prometheus.NewRegistry(),
		}
	}
	if _, err := New(good()); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Options){
		"no counter":     func(o *Options) { o.Counter = nil },
		"no identity":    func(o *Options) { o.Identity = nil },
		"short secret":   func(o *Options) { o.CursorSecret = testSecret[:31] },
		"negative limit": func(o *Options) { o.MaxConns = -1 },
		"negative time":  func(o *Options) { o.OpTimeout = -1 },
		"metrics twice":  func(o *Options) { must(t, secondMetrics(o.Metrics)) },
	} {
		o := good()
		change(&o)
		if _, err := New(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestAnswersNeverMixUsers sends many requests, each pair of them by a user of its
// own, over reused connections, two in a pipeline, to a store that answers late,
// and looks for another's words in the answers and in what the store has kept.
func TestAnswersNeverMixUsers(t *testing.T) {
	s := start(t, nil)
	s.store.before = func(context.Context, []like.Op) { runtime.Gosched() }
	const clients, inPipeline = 32, 10
	rounds := 500
	if os.Getenv("PLUSONE_TEST_LONG") != "" {
		rounds = 1_000_000 / clients
	}
	pair := func(client, n int) (item, user string) {
		slash := []string{"/", "-"}[n%2] // escaped and not: ids are copied in two places
		return fmt.Sprintf("item-%d-%d%sx", client, n, slash), fmt.Sprintf("user-%d-%d-%s", client, n, strings.Repeat("x", n%40))
	}
	var all sync.WaitGroup
	for client := range clients {
		c := s.dial(t)
		must(t, c.SetDeadline(time.Now().Add(10*time.Minute)))
		all.Go(func() {
			r := bufio.NewReader(c)
			for first := 0; first < rounds; first += inPipeline {
				var ask strings.Builder
				for n := first; n < first+inPipeline; n++ {
					item, user := pair(client, n)
					target := "/v1/items/" + url.PathEscape(item)
					ask.WriteString(request("PUT", target+"/like", "", as(user), "X-Request-Id: "+user))
					ask.WriteString(request("GET", target, "", as(user), "X-Request-Id: get-"+user))
				}
				_, err := io.WriteString(c, ask.String())
				for n := first; n < first+inPipeline && err == nil; n++ {
					item, user := pair(client, n)
					err = errors.Join(
						expect(r, user, fmt.Sprintf(`{"item":"%s","user":"%s","liked":true,"changed":true,"count":1,`, item, user)),
						expect(r, "get-"+user, fmt.Sprintf(`{"item":"%s","count":1,"liked":true,`, item)))
				}
				if err != nil {
					t.Errorf("client %d: %v", client, err)
					return
				}
			}
		})
	}
	all.Wait()
	for client := range clients {
		for n := range rounds {
			item, user := pair(client, n)
			if _, ok := s.store.likes[item][user]; !ok {
				t.Fatalf("%s does not like %s: what the store kept was overwritten", user, item)
			}
		}
	}
}

// expect reads one answer: 200, with this request id and a body that begins so.
func expect(r *bufio.Reader, id, start string) error {
	status, err := r.ReadString('\n')
	got, length := "", 0
	for err == nil {
		var line string
		if line, err = r.ReadString('\n'); line == "\r\n" {
			break
		}
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\r\n"), ": ")
		switch name {
		case "X-Request-Id":
			got = value
		case "Content-Length":
			length, _ = strconv.Atoi(value)
		}
	}
	body := make([]byte, length)
	if err == nil {
		_, err = io.ReadFull(r, body)
	}
	if err == nil && (!strings.HasPrefix(status, "HTTP/1.1 200 ") || got != id || !strings.HasPrefix(string(body), start)) {
		err = fmt.Errorf("%s got %s %s %s", id, status, got, body)
	}
	return err
}

func secondMetrics(to prometheus.Registerer) error {
	_, err := newMetrics(to, func() int { return 0 })
	return err
}
