package api

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"strings"
	"testing"
	"time"

	"plusone/hotpath/like"
)

func startVisited(t testing.TB) (*site, *visitors) {
	t.Helper()
	s := startAs(t, IdentityOptions{Auth: AuthCookie, CookieSecret: testSecret})
	return s, s.identity.visitors
}

// cookieOf is the one cookie that an answer brings.
func cookieOf(t testing.TB, a *answer) *http.Cookie {
	t.Helper()
	all := (&http.Response{Header: a.header}).Cookies()
	if len(all) != 1 {
		t.Fatalf("%d cookies: %v", len(all), a.header)
	}
	return all[0]
}

const (
	visitedLike = "/v1/items/a/like"
	ourPage     = "Sec-Fetch-Site: same-origin"
	byHTTPS     = "X-Forwarded-For: 203.0.113.7"
)

func secured(value string) string { return "Cookie: " + secureCookie + "=" + value }

func TestAVisitorIsGreetedByAGetAndLikesASecondLater(t *testing.T) {
	s, v := startVisited(t)
	a := s.do(t, "GET", "/v1/items/a", "", byHTTPS)
	c := cookieOf(t, a)
	if a.status != 200 || c.Name != "__Host-plusone" || c.Path != "/" || c.Domain != "" || !c.HttpOnly || !c.Secure ||
		c.SameSite != http.SameSiteLaxMode || c.MaxAge != 400*24*3600 || a.header.Get("Cache-Control") != "private, no-store" {
		t.Fatalf("%d %+v %v", a.status, c, a.header)
	}
	a = s.do(t, "PUT", visitedLike, "", byHTTPS, ourPage, secured(c.Value))
	wantProblem(t, a, 403, "visitor_too_new")
	if a.header.Get("Retry-After") != "1" {
		t.Errorf("%v", a.header)
	}
	if a := s.do(t, "GET", "/v1/items/a", "", byHTTPS, secured(c.Value)); a.status != 200 || a.json(t)["liked"] != false || a.header.Get("Set-Cookie") != "" {
		t.Errorf("a read of the new visitor: %d %v %s", a.status, a.header, a.body)
	}
	old := v.mint(time.Now().Add(-visitorWait))
	user, _, err := v.open([]byte(old), time.Now())
	must(t, err)
	if like.CheckUser(user) != nil || !strings.HasPrefix(user, "visitor:") {
		t.Fatalf("the visitor is %q", user)
	}
	for _, ask := range []string{"PUT " + visitedLike, "DELETE " + visitedLike, "POST " + visitedLike + "/toggle"} {
		method, target, _ := strings.Cut(ask, " ")
		a := s.do(t, method, target, "", byHTTPS, ourPage, secured(old))
		if a.status != 200 || a.json(t)["user"] != user || a.header.Get("Set-Cookie") != "" {
			t.Errorf("%s: %d %s", ask, a.status, a.body)
		}
	}
	if a := s.do(t, "GET", "/v1/users/"+user+"/likes", "", byHTTPS, secured(old)); a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestACookieIsPlainOnlyForThisMachineItself(t *testing.T) {
	s, _ := startVisited(t)
	for _, c := range []struct{ host, more, want string }{
		{"localhost:8080", "", plainCookie},
		{"127.0.0.1", "", plainCookie},
		{"[::1]:8080", "", plainCookie},
		{"likes.example", "", secureCookie},
		{"localhost.example", "", secureCookie},
		{"localhost", "X-Forwarded-Proto: https\r\n", secureCookie},
		{"localhost", byHTTPS + "\r\n", secureCookie},
		{"localhost", "Forwarded: for=203.0.113.7\r\n", secureCookie},
	} {
		a := s.raw(t, "GET /v1/items/a HTTP/1.1\r\nHost: "+c.host+"\r\n"+c.more+"\r\n")
		if got := cookieOf(t, a); got.Name != c.want || got.Secure != (c.want == secureCookie) || !got.HttpOnly {
			t.Errorf("%s %s: %+v", c.host, c.more, got)
		}
	}
}

func TestWhoShowsNoGoodCookieLikesNothing(t *testing.T) {
	s, v := startVisited(t)
	now := time.Now()
	good := v.mint(now.Add(-time.Minute))
	raw, err := base64.RawURLEncoding.DecodeString(good)
	must(t, err)
	// forged is good with other bytes, signed by who knows what.
	forged := func(change func(b []byte), key []byte, label string) string {
		b := append([]byte(nil), raw...)
		change(b)
		if key != nil {
			h := hmac.New(sha256.New, key)
			h.Write([]byte(label))
			h.Write(b[:visitorSigned])
			copy(b[visitorSigned:], h.Sum(nil))
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	at := func(when time.Time) func([]byte) {
		return func(b []byte) { binary.BigEndian.PutUint64(b[visitorID:], uint64(when.UnixMilli())) }
	}
	other := startAs(t, IdentityOptions{Auth: AuthCookie, CookieSecret: []byte(strings.Repeat("x", 32))})
	for name, c := range map[string]struct {
		header string
		status int
		code   string
	}{
		"no cookie":               {"X: y", 401, "no_identity"},
		"another cookie":          {"Cookie: session=" + good, 401, "no_identity"},
		"the plain name":          {"Cookie: " + plainCookie + "=" + good, 401, "no_identity"},
		"empty":                   {secured(""), 401, "bad_credentials"},
		"another user":            {secured(forged(func(b []byte) { b[0] ^= 1 }, nil, "")), 401, "bad_credentials"},
		"another time":            {secured(forged(func(b []byte) { b[visitorID+7] ^= 1 }, nil, "")), 401, "bad_credentials"},
		"another signature":       {secured(forged(func(b []byte) { b[len(b)-1] ^= 1 }, nil, "")), 401, "bad_credentials"},
		"another secret":          {secured(other.identity.visitors.mint(now.Add(-time.Minute))), 401, "bad_credentials"},
		"an empty secret":         {secured(forged(at(now.Add(-time.Hour)), []byte{}, visitorLabel)), 401, "bad_credentials"},
		"signed as a cursor":      {secured(forged(at(now.Add(-time.Hour)), testSecret, likesCursor)), 401, "bad_credentials"},
		"expired":                 {secured(v.mint(now.Add(-visitorAge - time.Minute))), 401, "bad_credentials"},
		"of the future":           {secured(v.mint(now.Add(time.Hour))), 403, "visitor_too_new"},
		"of this moment":          {secured(v.mint(now.Add(time.Minute))), 403, "visitor_too_new"},
		"cut":                     {secured(good[:len(good)-1]), 401, "bad_credentials"},
		"longer":                  {secured(good + "A"), 401, "bad_credentials"},
		"another spelling":        {secured(good[:len(good)-1] + "_"), 401, "bad_credentials"},
		"two":                     {secured(good) + "; " + secureCookie + "=" + v.mint(now.Add(-time.Minute)), 401, "bad_credentials"},
		"two headers":             {secured(good) + "\r\n" + secured(v.mint(now.Add(-time.Minute))), 401, "bad_credentials"},
		"X-User-ID beside it":     {secured(good) + "\r\n" + as("admin"), 403, "forbidden"},
		"a visitor as X-User-ID":  {as("visitor:AAAA"), 400, "bad_id"},
		"a token beside it":       {secured(good) + "\r\nAuthorization: Bearer x", 401, "bad_credentials"},
		"huge":                    {secured(strings.Repeat("A", 8000)), 401, "bad_credentials"},
		"many":                    {"Cookie: " + strings.Repeat("a=b; ", 2000) + "c=d", 401, "no_identity"},
		"a cookie that is no one": {"Cookie: ;;;=;", 401, "no_identity"},
	} {
		a := s.do(t, "PUT", visitedLike, "", byHTTPS, ourPage, c.header)
		wantProblem(t, a, c.status, c.code)
		if s.store.applied() != 0 || a.header.Get("Set-Cookie") != "" {
			t.Fatalf("%s: something was applied or set: %v", name, a.header)
		}
		if a := s.do(t, "GET", "/v1/items/a", "", byHTTPS, c.header); c.code == "bad_credentials" && !strings.Contains(c.header, "Bearer") {
			if cookieOf(t, a); a.status != 200 || a.json(t)["liked"] != nil {
				t.Errorf("%s: a read: %d %s", name, a.status, a.body)
			}
		}
	}
	if a := s.do(t, "PUT", visitedLike, "", byHTTPS, ourPage, secured(good)); a.status != 200 {
		t.Errorf("the good one: %d %s", a.status, a.body)
	}
}

func TestAPageOfAnotherSiteLikesNothing(t *testing.T) {
	s, v := startVisited(t)
	good := secured(v.mint(time.Now().Add(-time.Minute)))
	for name, c := range map[string]struct {
		headers []string
		ok      bool
	}{
		"cross-site":                           {[]string{"Sec-Fetch-Site: cross-site"}, false},
		"cross-site with our origin":           {[]string{"Sec-Fetch-Site: cross-site", "Origin: http://likes"}, false},
		"something new":                        {[]string{"Sec-Fetch-Site: other"}, false},
		"another origin":                       {[]string{"Origin: https://evil.example"}, false},
		"our name in another's":                {[]string{"Origin: https://likes.evil.example"}, false},
		"another port":                         {[]string{"Origin: http://likes:81"}, false},
		"null":                                 {[]string{"Origin: null"}, false},
		"no origin at all":                     {[]string{"Origin: likes"}, false},
		"our page":                             {[]string{"Sec-Fetch-Site: same-origin", "Origin: http://likes"}, true},
		"a sister's page":                      {[]string{"Sec-Fetch-Site: same-site"}, true},
		"our page in an old browser":           {[]string{"Origin: https://LIKES"}, true},
		"no browser, which sends no cookies":   {nil, true},
		"typed by a person, or an extension's": {[]string{"Sec-Fetch-Site: none"}, true},
	} {
		for _, ask := range []string{"PUT " + visitedLike, "DELETE " + visitedLike, "POST " + visitedLike + "/toggle"} {
			method, target, _ := strings.Cut(ask, " ")
			calls := s.store.applied()
			a := s.do(t, method, target, "", append(c.headers, byHTTPS, good)...)
			if c.ok {
				if a.status != 200 {
					t.Errorf("%s: %d %s", name, a.status, a.body)
				}
				continue
			}
			wantProblem(t, a, 403, "cross_site")
			if s.store.applied() != calls {
				t.Errorf("%s: something was applied", name)
			}
		}
	}
	for _, h := range []string{"Sec-Fetch-Site: cross-site", "Origin: https://evil.example"} {
		if a := s.do(t, "PUT", visitedLike, "", h, asServer(), as("u")); a.status != 200 {
			t.Errorf("a server with a key needs no page: %d %s", a.status, a.body)
		}
	}
}

func TestNobodyElseIsAVisitor(t *testing.T) {
	header := startAs(t, IdentityOptions{Auth: AuthHeader})
	wantProblem(t, header.do(t, "PUT", visitedLike, "", as("visitor:x")), 400, "bad_id")
	token := startAs(t, IdentityOptions{Auth: AuthJWT, HMACSecretFile: file(t, string(testSecret))})
	signed := sign(t, "HS256", testSecret, "", valid(claims{"sub": "visitor:x"}))
	wantProblem(t, token.do(t, "PUT", visitedLike, "", "Authorization: Bearer "+signed), 401, "bad_credentials")
	if a := header.do(t, "PUT", visitedLike, "", as("visitor:x"), asServer()); a.status != 200 {
		t.Errorf("a server may name one: %d %s", a.status, a.body)
	}
	for _, s := range []*site{header, token} {
		if a := s.do(t, "GET", "/v1/items/a", ""); a.header.Get("Set-Cookie") != "" {
			t.Error("a cookie without cookies")
		}
	}
	visited, v := startVisited(t)
	seen := map[string]bool{}
	for range 1000 {
		user, _, err := v.open([]byte(v.mint(time.Now())), time.Now())
		must(t, err)
		if seen[user] {
			t.Fatalf("%s is given twice", user)
		}
		seen[user] = true
	}
	for _, ask := range []string{"HEAD /v1/items/a", "GET /nowhere", "GET /v1/items/%00"} {
		method, target, _ := strings.Cut(ask, " ")
		if a := visited.do(t, method, target, ""); a.header.Get("Set-Cookie") != "" {
			t.Errorf("%s brings a cookie", ask)
		}
	}
}

func FuzzACookieIsOursOrNone(f *testing.F) {
	v := &visitors{secret: testSecret}
	now := time.Now()
	f.Add([]byte(v.mint(now)))
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, cookie []byte) {
		user, _, err := v.open(cookie, now)
		if err == nil && (like.CheckUser(user) != nil || !strings.HasPrefix(user, visitorPrefix)) {
			t.Errorf("%q makes %q", cookie, user)
		}
	})
}
