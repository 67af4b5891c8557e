package console

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestWhoIsNotLoggedInSeesTheFormAlone(t *testing.T) {
	h := newHouse(t, secret)
	p := &person{house: h}
	for path := range pages {
		path = strings.TrimSuffix(path, "{$}")
		if a := p.get(path); a.code != 303 || a.header.Get("Location") != "/console/login?next="+url.QueryEscape(path) {
			t.Errorf("%s: %d %s", path, a.code, a.header.Get("Location"))
		}
	}
	if a := p.get("/console/live"); a.code != 303 {
		t.Errorf("live: %d", a.code)
	}
	if a := p.act("item/freeze", "a", "why"); a.code != 303 {
		t.Errorf("act: %d", a.code)
	}
	if a := p.get("/console/login?next=%2Fconsole%2Fhot"); a.code != 200 || !strings.Contains(a.body, `value="/console/hot"`) {
		t.Errorf("login: %d %s", a.code, a.body)
	}
	for _, next := range []string{"https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)", ""} {
		if a := p.get("/console/login?next=" + url.QueryEscape(next)); !strings.Contains(a.body, `name="next" value="/console/"`) {
			t.Errorf("%s is where to go on", next)
		}
	}
}

func TestTheCookieIsForThisSiteAloneAndNoScriptReadsIt(t *testing.T) {
	p := newHouse(t, secret).login()
	c := p.cookie
	if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Secure || time.Until(c.Expires) > sessionTime || time.Until(c.Expires) < sessionTime-time.Minute {
		t.Errorf("%+v", c)
	}
	req, err := http.NewRequestWithContext(t.Context(), "POST", p.url+"/console/login", strings.NewReader(url.Values{"token": {secret}}.Encode()))
	must(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("X-Forwarded-Proto", "https")
	if a := p.do(req); a.cookie == nil || !a.cookie.Secure {
		t.Errorf("behind TLS: %+v", a.cookie)
	}
}

func TestACookieThatWasChangedIsNone(t *testing.T) {
	p := newHouse(t, secret).login()
	good := p.cookie.Value
	for i := range good {
		other := byte('A')
		if good[i] == other {
			other = 'B'
		}
		value := good[:i] + string(other) + good[i+1:]
		if is, ok := p.console.sessions.read(value); ok {
			t.Errorf("changed at %d: %+v", i, is)
		}
	}
	for _, value := range []string{"", "x", good[:len(good)-4], good + "AAAA", strings.Repeat("A", 200)} {
		p.cookie = &http.Cookie{Name: cookieName, Value: value}
		if a := p.get("/console/hot"); a.code != 303 {
			t.Errorf("%q: %d", value, a.code)
		}
	}
}

func TestASessionEnds(t *testing.T) {
	h := newHouse(t, secret)
	now := time.Now()
	h.console.sessions.now = func() time.Time { return now }
	p := h.login()
	now = now.Add(sessionTime - time.Minute)
	if a := p.get("/console/hot"); a.code != 200 {
		t.Fatalf("before its end: %d", a.code)
	}
	now = now.Add(time.Minute)
	if a := p.get("/console/hot"); a.code != 303 {
		t.Errorf("after it: %d", a.code)
	}
	p = h.login()
	if a := p.send("POST", "/console/logout", url.Values{}); a.code != 403 {
		t.Errorf("logged out by somebody else's form: %d", a.code)
	}
	if a := p.send("POST", "/console/logout", url.Values{"csrf": {p.csrf}}); a.code != 303 || a.cookie == nil || a.cookie.Value != "" {
		t.Errorf("logout: %d %+v", a.code, a.cookie)
	}
	if a := p.get("/console/hot"); a.code != 303 {
		t.Errorf("a cookie that was logged out: %d", a.code)
	}
	others := newSessions([]byte("the same secret"), []byte("another token"), time.Now)
	if _, ok := others.read(p.cookie.Value); ok {
		t.Error("another token's session is good")
	}
}

func TestTriesToLogInAreBounded(t *testing.T) {
	h := newHouse(t, secret)
	p := &person{house: h}
	for i := range triesBurst {
		if a := p.send("POST", "/console/login", url.Values{"token": {"guess " + strconv.Itoa(i)}}); a.code != 403 || a.cookie != nil {
			t.Fatalf("wrong token: %d", a.code)
		}
	}
	a := p.send("POST", "/console/login", url.Values{"token": {secret}})
	if a.code != 429 || a.header.Get("Retry-After") == "" || a.cookie != nil {
		t.Errorf("one more, the right one: %d", a.code)
	}
}

func TestOneAddressDoesNotTakeTheTriesOfAnother(t *testing.T) {
	a, now := newAttempts(), time.Now()
	from := func(addr string) *http.Request { return &http.Request{RemoteAddr: addr} }
	for range triesBurst {
		a.allow(from("192.0.2.1:1"), now)
	}
	if a.allow(from("192.0.2.1:2"), now) || !a.allow(from("192.0.2.2:1"), now) {
		t.Error("tries are not counted by address")
	}
	for i := range triesBurst {
		a.allow(from("[2001:db8::"+strconv.Itoa(i)+"]:1"), now)
	}
	if a.allow(from("[2001:db8::ffff]:1"), now) {
		t.Error("a /64 has more tries than one address")
	}
	for i := range 3 * triesKept {
		a.allow(from("10.0."+strconv.Itoa(i/256)+"."+strconv.Itoa(i%256)+":1"), now)
	}
	if len(a.by) > triesKept {
		t.Errorf("%d addresses are kept", len(a.by))
	}
	if !a.allow(from("10.9.9.9:1"), now.Add(2*time.Minute)) {
		t.Error("those that have long tried are not forgotten")
	}
}

func TestWithoutATokenNothingIsChanged(t *testing.T) {
	h := newHouse(t, "")
	p := &person{house: h}
	if a := p.get("/console/"); a.code != 200 || !strings.Contains(a.body, "internal-token") || strings.Contains(a.body, "Log in") {
		t.Errorf("%d %s", a.code, a.body)
	}
	p.cookie = h.console.sessions.cookie(h.console.sessions.begin("x"), &http.Request{})
	p.csrf = h.console.sessions.csrf(h.console.sessions.begin("x"))
	for _, a := range []answer{
		p.send("POST", "/console/login", url.Values{"token": {""}}), p.act("item/freeze", "a", "why"),
		p.send("POST", "/console/revoke", url.Values{"users": {"a"}}),
	} {
		if a.code != 403 || !strings.Contains(a.body, "Nothing can be changed here") {
			t.Errorf("%d %s", a.code, a.body)
		}
	}
}
