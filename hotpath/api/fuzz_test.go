package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"plusone/hotpath/like"
)

// bare is a server without a listener, for calling its handler.
func bare(t testing.TB) (*Server, *memory) {
	t.Helper()
	m := newMemory()
	s, err := New(Options{
		Counter: m, Lists: m, Receipts: m, Notifications: m, CursorSecret: testSecret,
		Identity: newIdentity(t, IdentityOptions{Auth: AuthHeader}), Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
	})
	must(t, err)
	return s, m
}

// handled runs the handler as a request of a server for user "u".
func handled(s *Server, method, target, body string) *fasthttp.Response {
	var ctx fasthttp.RequestCtx
	ctx.Init2(&conn{conns: s.conns}, silence{}, false)
	ctx.Request.Header.SetMethod(method)
	ctx.Request.Header.SetRequestURI(target)
	ctx.Request.Header.Set("Authorization", "Bearer "+serverToken)
	ctx.Request.Header.Set("X-User-ID", "u")
	if body != "" {
		ctx.Request.Header.SetContentType("application/json")
		ctx.Request.SetBodyString(body)
	}
	s.handle(&ctx)
	return &ctx.Response
}

// FuzzTarget: whatever the target is, an op reaches the store only with ids that
// are valid and that the target spells, escaped once.
func FuzzTarget(f *testing.F) {
	for _, target := range []string{
		"/v1/items/a/like", "/v1/items/a%2Fb/like", "/v1/items/%252F/like", "/v1/items/../like", "/v1/items/%00/like",
		"/v1/items//like", "http://h/v1/items/a/like", "//v1/items/a/like", "/v1/items/a/like?x#y", "*", "", "/v1/items/%",
		"/v1/receipts/1-2-3", "/v1/items?id=a&id=%62+", "/v1/users/u/likes?limit=2&cursor=x", "/v1/notifications?after=1",
	} {
		f.Add("PUT", target)
		f.Add("GET", target)
	}
	s, m := bare(f)
	f.Fuzz(func(t *testing.T, method, target string) {
		m.likes, m.calls = map[string]map[string]like.Version{}, 0
		r := handled(s, method, target, "")
		if !json.Valid(r.Body()) || r.StatusCode() == 500 || len(r.Header.Peek("X-Request-Id")) == 0 {
			t.Fatalf("%s %q: %d %s", method, target, r.StatusCode(), r.Body())
		}
		if m.calls > 0 && r.StatusCode() != 200 {
			t.Fatalf("%s %q: applied, and answered %d", method, target, r.StatusCode())
		}
		for item := range m.likes {
			segment := strings.Split(strings.SplitN(target, "/v1/items/", 2)[1], "/")[0]
			want, err := url.PathUnescape(segment)
			if err != nil || want != item || like.CheckItem(item) != nil {
				t.Fatalf("%s %q wrote %q", method, target, item)
			}
		}
	})
}

// FuzzOps: what is accepted is what encoding/json reads there, and its ids are
// valid.
func FuzzOps(f *testing.F) {
	for _, body := range []string{
		opsBody(1), opsBody(3), `{"ops":[{"item":"\u0061\ud83d\ude00\n","user":"u","liked":false}]}`, `{"ops":[]}`,
		"{\"ops\":[{\"item\":\"\xff\",\"user\":\"u\",\"liked\":true}]}", `{"ops":[{"item":"\ud800","user":"u","liked":true}]}`,
		` { "ops" : [ { "liked" : true , "user" : "u" , "item" : "a\/b" } ] } `, `{"ops":[{"item":"a","user":"u","liked":true}]}x`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		kept := bytes.Clone(body)
		ops, err := parseOps(body)
		if !bytes.Equal(kept, body) {
			t.Fatal("the body was changed")
		}
		if err != nil {
			if explain(err).status != 400 {
				t.Fatalf("%q: %v", body, err)
			}
			return
		}
		var want struct {
			Ops []struct {
				Item, User string
				Liked      *bool
			}
		}
		d := json.NewDecoder(bytes.NewReader(body))
		d.DisallowUnknownFields()
		if err := d.Decode(&want); err != nil || len(want.Ops) != len(ops) || len(ops) == 0 || len(ops) > maxOps {
			t.Fatalf("%q: %d ops, encoding/json says %d: %v", body, len(ops), len(want.Ops), err)
		}
		for i, op := range ops {
			w := want.Ops[i]
			if op.Item != w.Item || op.User != w.User || (op.Want == like.Liked) != *w.Liked || like.CheckItem(op.Item) != nil || like.CheckUser(op.User) != nil {
				t.Fatalf("%q: op %d is %v, encoding/json says %v", body, i, op, w)
			}
		}
	})
}

func FuzzReceipt(f *testing.F) {
	for _, r := range []string{"0-0-1", "3-1700000000000-1", "4095-8796093022207-1048575", "01-2-3", "4096-1-1", "1-2", "%31-2-3"} {
		f.Add(r)
	}
	s, _ := bare(f)
	f.Fuzz(func(t *testing.T, receipt string) {
		r := handled(s, "GET", "/v1/receipts/"+url.PathEscape(receipt), "")
		parsed, err := like.ParseReceipt(receipt)
		want := 404
		if err != nil {
			want = 400
		} else if parsed.String() != receipt || string(appendReceipt(nil, parsed)) != `"`+receipt+`"` {
			t.Fatalf("%q is spelled %s", receipt, parsed)
		}
		if strings.Contains(receipt, "/") || receipt == "" {
			return // escaped, still no receipt; "" is another route's 400
		}
		if r.StatusCode() != want {
			t.Fatalf("%q: %d %s", receipt, r.StatusCode(), r.Body())
		}
	})
}

// FuzzToken: only what our key signed is believed, and only as it was signed.
func FuzzToken(f *testing.F) {
	id := newIdentity(f, IdentityOptions{Auth: AuthJWT, PublicKeyFile: file(f, pemOf(f, edKey.Public()))})
	good := sign(f, jose.EdDSA, edKey, "", claims{"sub": "u", "exp": 99999999999})
	f.Add(good)
	f.Add(sign(f, jose.HS256, testSecret, "k", valid(nil)))
	f.Add(unsigned(`{"alg":"none"}`, `{"sub":"u","exp":99999999999}`, ""))
	f.Add("..")
	f.Add(" ")
	f.Add(serverToken)
	f.Fuzz(func(t *testing.T, token string) {
		var h fasthttp.RequestHeader
		h.Set("Authorization", "Bearer "+token)
		who, err := id.who(&h, netip.Addr{})
		if err == nil && who.key == "" && who.user != "u" {
			t.Fatalf("%q is believed to be %q", token, who.user)
		}
		if err != nil && explain(err).code != "bad_credentials" {
			t.Fatalf("%q: %v", token, err)
		}
		if user, err := id.tokens.user(token, time.Now()); err == nil && (user != "u" || len(token) < len(good)) {
			t.Fatalf("%q is believed to be %q", token, user)
		}
	})
}

func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "a", "\x00\x1f\"\\<>&", "é\xff😀\xed\xa0\x80", "\u2028"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var got string
		b := appendString(nil, s)
		if err := json.Unmarshal(b, &got); err != nil || !utf8.Valid(b) || got != strings.ToValidUTF8(s, "\ufffd") && utf8.ValidString(s) {
			t.Fatalf("%q became %s: %v", s, b, err)
		}
	})
}

func TestErrorsOfTheTableKeepTheirCodes(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range table {
		if got := explain(errors.Join(errors.New("x"), r.err)); got.code != r.code || seen[r.code] {
			t.Errorf("%v is %s", r.err, got.code)
		}
		seen[r.code] = true
	}
}
