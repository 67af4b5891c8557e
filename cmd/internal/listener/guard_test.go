package listener_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"

	"plusone/cmd/internal/console"
	"plusone/cmd/internal/listener"
)

const secret = "a token for tests"

func token() console.Token {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

// status asks for a page with headers, "Host" among them.
func status(t *testing.T, addr, path string, headers ...string) (int, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+addr+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			req.Host = value
		}
		req.Header.Set(name, value)
	}
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	return res.StatusCode, res.Header
}

var pages = []string{"/", "/livez", "/readyz", "/metrics", "/tasks/", "/tasks/api/queues", "/debug/pprof/", "/nothing"}

func TestNothingIsShownWithoutTheToken(t *testing.T) {
	addr, _ := serveWith(t, token())
	basic := func(text string) string {
		return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(text))
	}
	for name, header := range map[string]string{
		"nothing":             "X: y",
		"another token":       "Authorization: Bearer " + secret + "x",
		"its beginning":       "Authorization: Bearer " + secret[:5],
		"no token":            "Authorization: Bearer ",
		"its hash":            "Authorization: Bearer " + hex.EncodeToString(token()),
		"another scheme":      "Authorization: Token " + secret,
		"a wrong password":    basic("admin:x"),
		"the token as user":   basic(secret + ":"),
		"no password":         basic("admin:"),
		"the token in a name": "X-Token: " + secret,
	} {
		for _, page := range pages {
			if code, h := status(t, addr, page, header); code != 401 || h.Get("WWW-Authenticate") == "" {
				t.Errorf("%s: %s answers %d", name, page, code)
			}
		}
	}
	for _, header := range []string{"Authorization: Bearer " + secret, "Authorization: bearer " + secret, basic("admin:" + secret), basic(":" + secret)} {
		if code, _ := status(t, addr, "/metrics", header, "Host: plusone.internal:9090"); code != 200 {
			t.Errorf("%s: %d", header, code)
		}
	}
}

func TestAPageOfAnotherSiteIsNotServed(t *testing.T) {
	open, _ := serve(t)
	closed, _ := serveWith(t, token())
	for _, addr := range []string{open, closed} {
		for name, c := range map[string]struct {
			want    int
			headers []string
		}{
			"a foreign origin":       {403, []string{"Origin: http://evil.example"}},
			"our name, another port": {403, []string{"Origin: http://127.0.0.1:1"}},
			"origin null":            {403, []string{"Origin: null"}},
			"an origin that is none": {403, []string{"Origin: %zz"}},
			"an image elsewhere":     {403, []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors"}},
			"a sister site":          {403, []string{"Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: cors"}},
			"a link elsewhere":       {200, []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"}},
			"our own page":           {200, []string{"Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: cors", "Origin: http://" + addr}},
			"typed":                  {200, []string{"Sec-Fetch-Site: none", "Sec-Fetch-Mode: navigate"}},
			"no browser":             {200, nil},
		} {
			for _, page := range pages[:len(pages)-1] {
				if page == "/tasks/" && c.want == 200 {
					continue // redirects to itself under some spellings
				}
				if code, _ := status(t, addr, page, append(c.headers, "Authorization: Bearer "+secret)...); code != c.want {
					t.Errorf("%s: %s answers %d, want %d", name, page, code, c.want)
				}
			}
		}
	}
}

func TestEveryPageRefusesANameThatSomebodyElseMayOwn(t *testing.T) {
	addr, _ := serve(t)
	for _, page := range pages {
		if code, _ := status(t, addr, page, "Host: rebound.example:9090"); code != 421 {
			t.Errorf("%s answers %d", page, code)
		}
	}
}

func TestAnAddressBeyondThisMachineNeedsAToken(t *testing.T) {
	for addr, ok := range map[string]bool{
		"127.0.0.1:1": true, "localhost:1": true, "[::1]:1": true, "127.8.8.8:1": true,
		":9090": false, "0.0.0.0:1": false, "192.0.2.1:1": false, "example.com:1": false, "[::]:1": false,
	} {
		if err := listener.CheckAddress(addr, nil); (err == nil) != ok {
			t.Errorf("%s: %v", addr, err)
		}
		if err := listener.CheckAddress(addr, token()); err != nil {
			t.Errorf("%s, with a token: %v", addr, err)
		}
	}
	if listener.CheckAddress("no-port", token()) == nil {
		t.Error("an address without a port is accepted")
	}
}

func TestOneThatIsOpenShowsAllAndChangesNothingWithoutTheToken(t *testing.T) {
	addr, _ := serveOpen(t, token())
	for _, page := range pages[:len(pages)-1] {
		if page == "/tasks/" {
			continue // redirects to itself under some spellings
		}
		if code, _ := status(t, addr, page); code != 200 {
			t.Errorf("%s answers %d", page, code)
		}
		if code, _ := status(t, addr, page, "Host: rebound.example:9090"); code != 421 {
			t.Errorf("%s answers %d to a name that somebody else may own", page, code)
		}
	}
	for _, place := range []string{"/items/a/freeze", "/sagas/retry", "/revocations", "/dead-letters/1/drop"} {
		res, err := http.Post("http://"+addr+place, "application/json", strings.NewReader(`{"who":"x","reason":"y"}`)) //nolint:noctx // it is answered at once
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != 401 {
			t.Errorf("POST %s: %s", place, res.Status)
		}
	}
}
