package api

import (
	"context"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"plusone/hotpath/like"
)

// instant answers without doing anything, so that only this package is measured.
type instant struct {
	readings []like.Reading
	hot      string
}

func (instant) Apply(_ context.Context, _ []like.Op, results []like.Result) error {
	for i := range results {
		results[i] = like.Result{Liked: true, Changed: true, Count: 42, Receipt: like.Receipt{Shard: 3, Version: 1 << 60}}
	}
	return nil
}

func (c instant) Read(context.Context, []string, string) ([]like.Reading, error) {
	return c.readings, nil
}

func (instant) Vote(context.Context, like.VoteOp) like.Voted { return like.Voted{} }

func (c instant) Recent(item []byte, now time.Time) (like.Reading, bool) {
	if string(item) != c.hot {
		return like.Reading{}, false
	}
	return like.Reading{Item: c.hot, Count: 42, Source: like.FromCache, AsOf: now}, true
}

// handler is a server over instant and a request that is handled again and again.
func handler(t testing.TB, id *Identity, items int, method, target, body string, headers ...string) func() {
	t.Helper()
	m := newMemory()
	c := instant{make([]like.Reading, items), "a/hot-one"}
	for i := range c.readings {
		c.readings[i] = like.Reading{Item: "/blog/2026/a-page", Count: 42, Source: like.FromRedis, AsOf: time.Now()}
	}
	s, err := New(Options{
		Counter: c, Lists: m, Receipts: m, Notifications: m, CursorSecret: testSecret,
		Identity: id, Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
	})
	must(t, err)
	var ctx fasthttp.RequestCtx
	ctx.Init2(&conn{conns: s.conns, peer: netip.MustParseAddr("127.0.0.1")}, silence{}, false)
	ctx.Request.Header.SetMethod(method)
	ctx.Request.Header.SetRequestURI(target)
	ctx.Request.Header.SetContentType("application/json")
	ctx.Request.SetBodyString(body)
	for i := 0; i < len(headers); i += 2 {
		ctx.Request.Header.Set(headers[i], headers[i+1])
	}
	return func() {
		ctx.Response.Reset()
		s.handle(&ctx)
		if ctx.Response.StatusCode() != 200 {
			t.Fatalf("%s", ctx.Response.Body())
		}
	}
}

// handlerWith is a server with limits, for likes of any user on any item.
func handlerWith(t testing.TB, id *Identity, limits *Limits) func(target, user string) {
	t.Helper()
	m := newMemory()
	s, err := New(Options{
		Counter: instant{}, Lists: m, Receipts: m, Notifications: m, CursorSecret: testSecret,
		Identity: id, Limits: limits, Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
	})
	must(t, err)
	var ctx fasthttp.RequestCtx
	ctx.Init2(&conn{conns: s.conns, peer: netip.MustParseAddr("127.0.0.1")}, silence{}, false)
	ctx.Request.Header.SetMethod("PUT")
	return func(target, user string) {
		ctx.Response.Reset()
		ctx.Request.Header.SetRequestURI(target)
		ctx.Request.Header.Set("X-User-ID", user)
		s.handle(&ctx)
		if ctx.Response.StatusCode() != 200 {
			t.Fatalf("%s", ctx.Response.Body())
		}
	}
}

func BenchmarkHandler(b *testing.B) {
	header := newIdentity(b, IdentityOptions{Auth: AuthHeader})
	hmac := newIdentity(b, IdentityOptions{Auth: AuthJWT, HMACSecretFile: file(b, string(testSecret))})
	ed := newIdentity(b, IdentityOptions{Auth: AuthJWT, PublicKeyFile: file(b, pemOf(b, edKey.Public()))})
	limited := handlerWith(b, header, newLimits(b, &together{}, Limit{Rate: 1e6, Burst: 1e6}, Limit{Rate: 1e6, Burst: 1e6}))
	long := valid(claims{"exp": time.Now().Add(time.Hour).Unix()})
	const item = "/v1/items/%2Fblog%2F2026%2Fa-page"
	user := []string{"X-User-ID", "user-12345"}
	for _, c := range []struct {
		name string
		run  func()
	}{
		{"put", handler(b, header, 1, "PUT", item+"/like", "", user...)},
		{"putLimited", func() { limited(item+"/like", "user-12345") }},
		{"get", handler(b, header, 1, "GET", item, "", user...)},
		{"getHot", handler(b, header, 1, "GET", "/v1/items/a%2Fhot-one", "")},
		{"get20", handler(b, header, 20, "GET", "/v1/items?"+repeat("id=/blog/2026/a-page&", 20), "", user...)},
		{"bulk1000", handler(b, header, 1, "POST", "/v1/likes", opsBody(1000), "Authorization", "Bearer "+serverToken)},
		{"putHS256", handler(b, hmac, 1, "PUT", item+"/like", "", "Authorization", "Bearer "+sign(b, jose.HS256, testSecret, "", long))},
		{"putEdDSA", handler(b, ed, 1, "PUT", item+"/like", "", "Authorization", "Bearer "+sign(b, jose.EdDSA, edKey, "", long))},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.run()
			}
		})
	}
}

func repeat(s string, n int) string {
	all := ""
	for range n {
		all += s
	}
	return all
}

// Only the item and the user are allocated: they live on in the counter. The race
// detector makes pools forget some of what they hold, hence the bound.
func TestALikeAllocatesItsIdsAndNothingElse(t *testing.T) {
	id := newIdentity(t, IdentityOptions{Auth: AuthHeader})
	limited := handlerWith(t, id, newLimits(t, &together{}, Limit{Rate: 1e6, Burst: 1e6}, Limit{Rate: 1e6, Burst: 1e6}))
	const item = "/v1/items/%2Fblog%2F2026%2Fa-page"
	for what, run := range map[string]func(){
		"put":               handler(t, id, 1, "PUT", item+"/like", "", "X-User-ID", "user-12345"),
		"get":               handler(t, id, 1, "GET", item, "", "X-User-ID", "user-12345"),
		"get of a hot item": handler(t, id, 1, "GET", "/v1/items/a%2Fhot-one", ""),
		"put, with limits":  func() { limited(item+"/like", "user-12345") },
	} {
		if n := testing.AllocsPerRun(1000, run); n > 4 {
			t.Errorf("%s: %v allocations, want 2", what, n)
		}
	}
}

func TestATimeIsSpelledAsTheStandardLibrarySpellsIt(t *testing.T) {
	for _, at := range []time.Time{
		{},
		time.Unix(0, 0), time.Date(2026, 11, 9, 3, 4, 5, 999_999_999, time.FixedZone("", 3600)),
		time.Date(9999, 12, 31, 23, 59, 59, 1e6, time.UTC), time.Date(2024, 2, 29, 0, 0, 0, 45e6, time.UTC), time.Now(),
	} {
		if got, want := string(appendTime(nil, at)), at.UTC().Format(`"2006-01-02T15:04:05.000Z07:00"`); got != want {
			t.Errorf("%v: %s, want %s", at, got, want)
		}
	}
}

func BenchmarkAppendTime(b *testing.B) {
	var room [32]byte
	now := time.Now()
	for b.Loop() {
		appendTime(room[:0], now)
	}
}
