package api

import (
	"bufio"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"
)

const listedPage = "Origin: https://www.example.org"

func startListed(t testing.TB, o IdentityOptions) *site {
	t.Helper()
	o.Origins = []Origin{"https://www.example.org", "http://localhost:5173"}
	return startAs(t, o)
}

// wantAdmitted checks that a page of origin may read an answer.
func wantAdmitted(t testing.TB, a *answer, origin string) {
	t.Helper()
	h := a.header
	if h.Get("Access-Control-Allow-Origin") != origin || h.Get("Access-Control-Allow-Credentials") != "true" ||
		len(h.Values("Access-Control-Allow-Origin")) != 1 || !strings.Contains(h.Get("Vary"), "Origin") {
		t.Fatalf("%d %v", a.status, h)
	}
	for _, name := range []string{"ETag", "RateLimit", "RateLimit-Policy", "Retry-After", "X-Request-ID"} {
		if !strings.Contains(h.Get("Access-Control-Expose-Headers"), name) {
			t.Errorf("%s can't be seen: %v", name, h)
		}
	}
}

// wantNotAdmitted checks that a page elsewhere may not.
func wantNotAdmitted(t testing.TB, a *answer) {
	t.Helper()
	for name := range a.header {
		if strings.HasPrefix(name, "Access-Control-") {
			t.Fatalf("%d %v", a.status, a.header)
		}
	}
}

func TestAPageOnTheListMayReadEveryAnswer(t *testing.T) {
	s := startListed(t, IdentityOptions{Auth: AuthHeader, ServerKeys: []string{serverKeySetting()}})
	tag := s.do(t, "GET", "/v1/items/a", "").header.Get("ETag")
	for ask, status := range map[string]int{
		"GET /v1/items/a": 200, "HEAD /v1/items/a": 200, "PUT /v1/items/a/like": 200, "DELETE /v1/items/a/like": 200,
		"POST /v1/items/a/like/toggle": 200, "GET /v1/items/a/likers": 200, "GET /v1/users/u/likes": 200,
		"GET /nowhere": 404, "POST /v1/items/a": 405, "GET /v1/items": 400, "GET /v1/notifications": 403, "GET /v1/stream": 400,
	} {
		method, target, _ := strings.Cut(ask, " ")
		a := s.do(t, method, target, "", listedPage, as("u"))
		if a.status != status {
			t.Errorf("%s: %d %s", ask, a.status, a.body)
		}
		wantAdmitted(t, a, "https://www.example.org")
	}
	wantAdmitted(t, s.do(t, "GET", "/v1/items/a", "", "Origin: http://localhost:5173", ifNone(tag)), "http://localhost:5173")
}

func TestAPageThatIsNotOnTheListMayReadNothing(t *testing.T) {
	s := startListed(t, IdentityOptions{Auth: AuthHeader})
	off := start(t, nil)
	for _, origin := range []string{
		"https://www.example.org.evil.example", "https://evil.example", "https://example.org", "http://www.example.org", "https://www.example.org:8443",
		"https://WWW.example.org", "https://www.example.org/", "null", "*", "", "https://www.example.org, https://evil.example", "localhost:5173",
	} {
		for _, ask := range []string{"GET /v1/items/a", "PUT /v1/items/a/like", "OPTIONS /v1/items/a/like", "GET /nowhere"} {
			method, target, _ := strings.Cut(ask, " ")
			a := s.do(t, method, target, "", "Origin: "+origin, "Access-Control-Request-Method: PUT", as("u"))
			wantNotAdmitted(t, a)
			if !strings.Contains(a.header.Get("Vary"), "Origin") {
				t.Errorf("%s: %v", ask, a.header)
			}
			if method == "OPTIONS" {
				wantProblem(t, a, 405, "method_not_allowed")
			}
			wantNotAdmitted(t, off.do(t, method, target, "", listedPage, "Access-Control-Request-Method: PUT", as("u")))
		}
	}
	wantNotAdmitted(t, s.do(t, "GET", "/v1/items/a", ""))
	if a := off.do(t, "GET", "/v1/items/a", "", listedPage); strings.Contains(a.header.Get("Vary"), "Origin") {
		t.Errorf("without a list nothing varies by it: %v", a.header)
	}
}

func TestAPreflightIsAnsweredForEveryPathAndByNoLimit(t *testing.T) {
	limits := newLimits(t, &together{}, Limit{Rate: 1, Burst: 1}, Limit{Rate: 1, Burst: 1})
	s := start(t, func(o *Options) {
		o.Limits = limits
		o.Identity = newIdentity(t, IdentityOptions{Auth: AuthJWT, HMACSecretFile: file(t, string(testSecret)), Origins: []Origin{"https://www.example.org"}})
	})
	for range 3 {
		for _, target := range []string{"/v1/items/a/like", "/v1/likes", "/v1/stream?id=a", "/nowhere"} {
			a := s.do(t, "OPTIONS", target, "", listedPage, "Access-Control-Request-Method: PUT", "Access-Control-Request-Headers: authorization")
			wantAdmitted(t, a, "https://www.example.org")
			if a.status != 204 || len(a.body) != 0 || a.header.Get("Access-Control-Max-Age") != "600" {
				t.Fatalf("%s: %d %v", target, a.status, a.header)
			}
			for _, m := range []string{"GET", "PUT", "DELETE", "POST"} {
				if !strings.Contains(a.header.Get("Access-Control-Allow-Methods"), m) {
					t.Errorf("%v", a.header)
				}
			}
			for _, h := range []string{"Authorization", "Content-Type", "If-None-Match", "X-User-ID", "X-Request-ID"} {
				if !strings.Contains(a.header.Get("Access-Control-Allow-Headers"), h) {
					t.Errorf("%v", a.header)
				}
			}
		}
	}
	s.do(t, "GET", "/v1/items/a", "", listedPage)
	a := s.do(t, "GET", "/v1/items/a", "", listedPage)
	wantProblem(t, a, 429, "rate_limited")
	wantAdmitted(t, a, "https://www.example.org")
	if s.store.applied() != 0 {
		t.Error("something was applied")
	}
	wantProblem(t, s.do(t, "OPTIONS", "/v1/items/b", "", listedPage), 429, "rate_limited") // it asks for nothing: no preflight
}

func TestAStreamIsForPagesOnTheList(t *testing.T) {
	s := startListed(t, IdentityOptions{Auth: AuthHeader})
	for origin, admitted := range map[string]bool{"https://www.example.org": true, "https://evil.example": false, "null": false} {
		c := s.dial(t)
		_, err := io.WriteString(c, request("GET", "/v1/stream?id=a", "", "Origin: "+origin))
		must(t, err)
		r := bufio.NewReader(c)
		var head strings.Builder
		for {
			line, err := r.ReadString('\n')
			must(t, err)
			if line == "\r\n" {
				break
			}
			head.WriteString(line)
		}
		got := strings.Contains(head.String(), "\r\nAccess-Control-Allow-Origin: "+origin+"\r\nAccess-Control-Allow-Credentials: true\r\n")
		if any := strings.Contains(head.String(), "Access-Control"); got != admitted || any != admitted || !strings.Contains(head.String(), "\r\nVary: Origin\r\n") {
			t.Errorf("%s: %s", origin, head.String())
		}
		c.Close()
	}
}

// A listed origin is no way around the cookie's own rule: a page of another site has
// none to send, and one that says it has is refused.
func TestAListedOriginSpeaksForAVisitorOfThisSiteOnly(t *testing.T) {
	s := startListed(t, IdentityOptions{Auth: AuthCookie, CookieSecret: testSecret})
	good := secured(s.identity.visitors.mint(time.Now().Add(-time.Minute)))
	for name, c := range map[string]struct {
		headers []string
		ok      bool
	}{
		"a sister's page":                          {[]string{"Sec-Fetch-Site: same-site", listedPage}, true},
		"a sister's page over http":                {[]string{listedPage}, true},
		"another site's page":                      {[]string{"Sec-Fetch-Site: cross-site", listedPage}, false},
		"a page that is not listed":                {[]string{"Origin: https://evil.example"}, false},
		"a page that is not listed, of a new kind": {[]string{"Sec-Fetch-Site: new", listedPage}, false},
		"null": {[]string{"Origin: null"}, false},
	} {
		a := s.do(t, "PUT", visitedLike, "", append(c.headers, byHTTPS, good)...)
		if c.ok {
			if a.status != 200 {
				t.Errorf("%s: %d %s", name, a.status, a.body)
			}
			wantAdmitted(t, a, "https://www.example.org")
			continue
		}
		wantProblem(t, a, 403, "cross_site")
	}
	if s.store.applied() != 2 {
		t.Errorf("%d likes", s.store.applied())
	}
}

func TestAnOriginIsSpelledAsBrowsersDo(t *testing.T) {
	for text, ok := range map[string]bool{
		"https://www.example.org": true, "http://localhost:5173": true, "https://[::1]:8443": true, "https://xn--bcher-kva.example": true,
		"http://127.0.0.1": true,
		"":                 false, "*": false, "null": false, "https://*": false, "https://*.example.org": false, "www.example.org": false,
		"https://www.example.org/": false, "https://www.example.org/a": false, "https://www.example.org?": false, "https://WWW.example.org": false,
		"HTTPS://www.example.org": false, "https://u@www.example.org": false, "https://www.example.org:443": false, "http://a:80": false,
		"https://www.example.org:": false, "https://": false, "https://:80": false, "ftp://a": false, "file://": false, "https://a#": false,
		"https://a, https://b": false, "https://a b": false, "https://bücher.example": false, "https://a\r\nb": false, "https://a:x": false,
	} {
		var o Origin
		if err := o.UnmarshalText([]byte(text)); (err == nil) != ok || ok && string(o) != text {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := NewIdentity(t.Context(), IdentityOptions{Auth: AuthHeader, Log: slog.New(slog.DiscardHandler), Origins: []Origin{"null"}}); err == nil {
		t.Error("null is an origin")
	}
}

func TestCORSCostsNothingWhenItIsOff(t *testing.T) {
	listed := newIdentity(t, IdentityOptions{Auth: AuthHeader, Origins: []Origin{"https://www.example.org"}})
	const hot = "/v1/items/a%2Fhot-one"
	for what, run := range map[string]func(){
		"off":         handler(t, newIdentity(t, IdentityOptions{Auth: AuthHeader}), 1, "GET", hot, "", "Origin", "https://www.example.org"),
		"on, no page": handler(t, listed, 1, "GET", hot, ""),
		"on":          handler(t, listed, 1, "GET", hot, "", "Origin", "https://www.example.org"),
	} {
		if n := testing.AllocsPerRun(1000, run); n > 2 {
			t.Errorf("%s: %v allocations", what, n)
		}
	}
}
