package listener_test

import (
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"plusone/cmd/internal/console"
)

// send is a request of a browser.
func send(t *testing.T, method, address string, form url.Values, headers ...string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	return res
}

func TestWhoHasLoggedInMayLookAtAllAndActInTheConsoleAlone(t *testing.T) {
	people := console.New(console.Options{
		Token: token(), Secret: []byte("of all processes"), Metrics: prometheus.NewRegistry(), Errors: slog.New(slog.DiscardHandler),
	})
	addr, _ := serveConsole(t, token(), people)
	at := "http://" + addr
	if res := send(t, "GET", at+"/", nil, "Accept", "text/html"); res.StatusCode != 303 || res.Header.Get("Location") != "/console/" {
		t.Errorf("/ of a browser: %d", res.StatusCode)
	}
	login := url.Values{"token": {secret}}
	if res := send(t, "POST", at+"/console/login", login, "Origin", "http://evil.example"); res.StatusCode != 403 {
		t.Errorf("a login from elsewhere: %d", res.StatusCode)
	}
	res := send(t, "POST", at+"/console/login", login, "Origin", at)
	if res.StatusCode != 303 || len(res.Cookies()) != 1 {
		t.Fatalf("login: %d", res.StatusCode)
	}
	cookie := res.Cookies()[0].Name + "=" + res.Cookies()[0].Value
	for _, page := range pages {
		if page == "/nothing" {
			continue
		}
		if res := send(t, "GET", at+page, nil, "Cookie", cookie); res.StatusCode != 200 {
			t.Errorf("%s: %d", page, res.StatusCode)
		}
		if res := send(t, "GET", at+page, nil, "Cookie", cookie+"AAAA"); res.StatusCode != 401 {
			t.Errorf("%s with a cookie that was changed: %d", page, res.StatusCode)
		}
	}
	for _, act := range []string{"/sagas/retry", "/items/a/freeze", "/revocations"} {
		if res := send(t, "POST", at+act, nil, "Cookie", cookie); res.StatusCode != 401 {
			t.Errorf("%s by a session: %d", act, res.StatusCode)
		}
	}
	if res := send(t, "GET", at+"/console/login", nil, "Accept", "text/html"); strings.Contains(res.Header.Get("Content-Security-Policy"), "unsafe") ||
		res.Header.Get("X-Frame-Options") != "DENY" || res.Header.Get("Referrer-Policy") != "same-origin" {
		t.Errorf("%v", res.Header)
	}
}
