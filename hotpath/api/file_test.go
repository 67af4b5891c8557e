package api

import (
	"bytes"
	"compress/gzip"
	"io"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"plusone/hotpath/ui"
)

func TestTheLikeButtonIsServedToPagesOfEverySite(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	a := s.do(t, "GET", "/v1/like-button.js", "", "Origin: https://elsewhere.example")
	if a.status != 200 || !bytes.Equal(a.body, ui.LikeButton().Body) {
		t.Fatalf("%d, %d bytes", a.status, len(a.body))
	}
	for name, want := range map[string]string{
		"Content-Type":                 "text/javascript; charset=utf-8",
		"Cache-Control":                "public, max-age=300, stale-while-revalidate=86400",
		"Etag":                         `W/"` + ui.LikeButton().Hash + `"`,
		"Vary":                         "Accept-Encoding",
		"Access-Control-Allow-Origin":  "*",
		"Cross-Origin-Resource-Policy": "cross-origin",
		"X-Content-Type-Options":       "nosniff",
		"Content-Encoding":             "",
	} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestTheLikeButtonComesCompressedToWhoTakesThat(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	a := s.do(t, "GET", "/v1/like-button.js", "", "Accept-Encoding: br, gzip, deflate")
	if a.header.Get("Content-Encoding") != "gzip" || a.header.Get("Vary") != "Accept-Encoding" {
		t.Fatalf("%v", a.header)
	}
	r, err := gzip.NewReader(bytes.NewReader(a.body))
	must(t, err)
	body, err := io.ReadAll(r)
	must(t, err)
	if !bytes.Equal(body, ui.LikeButton().Body) {
		t.Error("it is another script")
	}
	if a := s.do(t, "GET", "/v1/like-button.js", "", "Accept-Encoding: gzip;q=0"); a.header.Get("Content-Encoding") != "" {
		t.Error("compressed for who refuses that")
	}
	if a := s.do(t, "HEAD", "/v1/like-button.js", "", "Accept-Encoding: gzip"); a.status != 200 || len(a.body) != 0 {
		t.Errorf("HEAD: %d, %d bytes", a.status, len(a.body))
	}
}

func TestWhoHasTheLikeButtonIsToldSo(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	a := s.do(t, "GET", "/v1/like-button.js", "", `If-None-Match: "other", W/"`+ui.LikeButton().Hash+`"`, "Accept-Encoding: gzip")
	if a.status != 304 || len(a.body) != 0 || a.header.Get("Etag") == "" || !strings.HasPrefix(a.header.Get("Cache-Control"), "public, max-age=300") {
		t.Errorf("%d %v", a.status, a.header)
	}
}

func TestAnAddressWithAHashMeansTheseBytesForGood(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	a := s.do(t, "GET", "/v1/like-button."+ui.LikeButton().Hash+".js", "")
	if a.status != 200 || a.header.Get("Cache-Control") != "public, max-age=31536000, immutable" {
		t.Errorf("%d %v", a.status, a.header)
	}
	wantProblem(t, s.do(t, "GET", "/v1/like-button.0123456789abcdef.js", ""), 404, "not_found")
	for _, path := range []string{"/v1/like-button", "/v1/like-button.", "/v1/like-button..js", "/v1/like-button.js/", "/v1/like-button.js/x"} {
		wantProblem(t, s.do(t, "GET", path, ""), 404, "no_route")
	}
	wantProblem(t, s.do(t, "POST", "/v1/like-button.js", ""), 405, "method_not_allowed")
}

func TestAFileBringsNobodyACookie(t *testing.T) {
	t.Parallel()
	s := startAs(t, IdentityOptions{Auth: AuthCookie, CookieSecret: testSecret})
	if a := s.do(t, "GET", "/v1/like-button.js", ""); a.status != 200 || a.header.Get("Set-Cookie") != "" {
		t.Errorf("%d %v", a.status, a.header)
	}
}

func TestWhatStandsBesideTheAPIAnswersItsPathsOnly(t *testing.T) {
	t.Parallel()
	s := startAs(t, IdentityOptions{Auth: AuthCookie, CookieSecret: testSecret})
	wantProblem(t, s.do(t, "GET", "/", ""), 404, "no_route")

	s = start(t, func(o *Options) {
		o.Beside = func(r *fasthttp.RequestCtx) bool {
			if string(r.Path()) != "/" {
				return false
			}
			r.SetBodyString("hello")
			return true
		}
		id, err := NewIdentity(t.Context(), IdentityOptions{Auth: AuthCookie, CookieSecret: testSecret, Log: o.Log})
		must(t, err)
		o.Identity = id
	})
	a := s.do(t, "GET", "/", "")
	if a.status != 200 || string(a.body) != "hello" || a.header.Get("Set-Cookie") != "" || !strings.Contains(a.header.Get("Cache-Control"), "no-store") {
		t.Errorf("%d %s %v", a.status, a.body, a.header)
	}
	wantProblem(t, s.do(t, "GET", "/elsewhere", ""), 404, "no_route")
	wantProblem(t, s.do(t, "GET", "/v1/nothing", ""), 404, "no_route")
}
