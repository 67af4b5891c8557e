package load

import (
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// counted is a server that remembers the pairs it was told of.
func counted(t *testing.T, handle func(ctx *fasthttp.RequestCtx, n int64)) (addr string, pairs *sync.Map) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	pairs = new(sync.Map)
	var n atomic.Int64
	s := &fasthttp.Server{Handler: func(ctx *fasthttp.RequestCtx) {
		pairs.Store(string(ctx.Path())+" "+string(ctx.Request.Header.Peek("X-User-ID")), true)
		handle(ctx, n.Add(1))
	}}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		if err := s.Shutdown(); err != nil {
			t.Error(err)
		}
		<-done
	})
	return netip.MustParseAddrPort(l.Addr().String()).String(), pairs
}

// plan is a load that is longer than a machine stands still now and then.
func plan(addr string) Plan {
	return Plan{Addr: addr, Kind: Put, Ops: 1, Conns: 8, Threads: 2, Warm: 20 * time.Millisecond, For: 400 * time.Millisecond, Items: 50, Spread: LogUniform}
}

func runs(t *testing.T, p Plan) Result {
	t.Helper()
	l, err := New(p)
	if err != nil {
		t.Fatal(err)
	}
	r, err := l.Run(func(Progress) {}, func() {}, func() {})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func size(m *sync.Map) (n uint64) {
	m.Range(func(any, any) bool { n++; return true })
	return n
}

func TestEveryRequestOfALoadIsAnotherPairAndIsCounted(t *testing.T) {
	for _, uuids := range []bool{false, true} {
		addr, pairs := counted(t, func(ctx *fasthttp.RequestCtx, _ int64) { ctx.SetBodyString("ok") })
		p := plan(addr)
		p.UUIDs, p.For = uuids, time.Second
		r := runs(t, p)
		if r.Acked == 0 || r.Acked != size(pairs) || r.Unknown+r.Refused != 0 || r.Ops == 0 || r.Ops > r.Acked || r.CPU == 0 {
			t.Errorf("%d pairs: %+v", size(pairs), r)
		}
	}
}

func TestUsersAndItemsAreWrittenAsTheyAreCalled(t *testing.T) {
	for _, uuids := range []bool{false, true} {
		p := Plan{Kind: Put, Ops: 1, Threads: 1, Items: 3, Spread: Uniform, UUIDs: uuids, FirstUser: 41}
		d, tmpl := newDraw(p, 0), newTemplate(p)
		seen := map[string]bool{}
		for n := range uint64(50) {
			tmpl.fill(tmpl.bytes, d)
			text := string(tmpl.bytes)
			if !strings.Contains(text, "X-User-ID: "+User(41+n, uuids)+"\r\n") {
				t.Fatalf("user %d is not in %q", 41+n, text)
			}
			item, _, _ := strings.Cut(strings.TrimPrefix(text, "PUT /v1/items/"), "/")
			seen[item] = true
		}
		if len(seen) != 3 || !seen[Item(0)] || !seen[Item(2)] {
			t.Errorf("items %v", seen)
		}
	}
}

func TestWhatIsRefusedOrUnknownIsNotAcknowledged(t *testing.T) {
	addr, pairs := counted(t, func(ctx *fasthttp.RequestCtx, n int64) {
		switch n % 3 {
		case 0:
			ctx.Error("busy", 503)
		case 1:
			ctx.Error(`{"code":"outcome_unknown"}`, 503)
		}
	})
	r := runs(t, plan(addr))
	if r.Acked+r.Refused+r.Unknown != size(pairs) || r.Acked != r.Codes[200] || r.Refused == 0 || r.Unknown == 0 {
		t.Errorf("%d pairs: %+v", size(pairs), r)
	}
}

func TestAnOpenLoopSeesTheTimeThatAServerStoodStill(t *testing.T) {
	const stop, long = 900 * time.Millisecond, 1500 * time.Millisecond
	var begin sync.Once
	gate := make(chan struct{})
	addr, _ := counted(t, func(*fasthttp.RequestCtx, int64) {
		begin.Do(func() { time.AfterFunc(stop, func() { close(gate) }) })
		<-gate
	})
	p := plan(addr)
	p.Warm, p.For, p.Rate, p.Threads = 0, long, 100, 1
	r := runs(t, p)
	// Requests that fell due evenly while it stood still waited half of that.
	if r.Latency.P50 < float64(stop.Microseconds())/10 || r.Latency.Max < float64(stop.Microseconds()) {
		t.Errorf("%+v", r.Latency)
	}
	if r.Requests == 0 || r.Requests > 150 {
		t.Errorf("%d requests at 100/s in %v", r.Requests, long)
	}
}

func TestALoadThatIsHeldSendsNothing(t *testing.T) {
	addr, pairs := counted(t, func(*fasthttp.RequestCtx, int64) {})
	l, err := New(plan(addr))
	if err != nil {
		t.Fatal(err)
	}
	l.Hold(true)
	r, err := l.Run(func(Progress) {}, func() {}, func() {})
	if err != nil || r.Acked != 0 || size(pairs) != 0 {
		t.Fatalf("%v %+v", err, r)
	}
}

func TestAnswersInPiecesAreReadWhole(t *testing.T) {
	answer := "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("x", 100_000)
	for cut := range 60 {
		n, err := whole([]byte(answer[:cut]))
		if head := strings.Index(answer, "x"); err != nil || (cut < head && n != 0) || (cut >= head && n != len(answer)) {
			t.Fatalf("%d bytes: %d, %v", cut, n, err)
		}
	}
	addr, _ := counted(t, func(ctx *fasthttp.RequestCtx, _ int64) {
		ctx.SetBodyString(strings.Repeat(`"changed":true`, 20_000))
	})
	p := plan(addr)
	p.Kind, p.Ops = Bulk, 20_000
	if r := runs(t, p); r.Acked == 0 || r.Acked%20_000 != 0 || r.Unknown != 0 {
		t.Fatalf("%+v", r)
	}
}

func TestALoadTellsAnotherProcessWhatHappens(t *testing.T) {
	addr, _ := counted(t, func(*fasthttp.RequestCtx, int64) {})
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r := Listen(out)
	served := make(chan error, 1)
	go func() {
		err := Serve(`{"Addr":"`+addr+`","Kind":"put","Ops":1,"Conns":1,"Threads":1,"For":1000000000,"Items":1,"Spread":"log"}`, strings.NewReader("go\n"), in)
		_ = in.Close()
		served <- err
	}()
	<-r.Begin
	<-r.End
	<-r.Done
	res, err := r.Result()
	if err := <-served; err != nil {
		t.Fatal(err)
	}
	if err != nil || res.Acked == 0 || r.Now().Acked == 0 {
		t.Fatalf("%v %+v", err, res)
	}
	if err := Serve("nonsense", strings.NewReader(""), io.Discard); err == nil {
		t.Error("a plan that is none was made")
	}
}
