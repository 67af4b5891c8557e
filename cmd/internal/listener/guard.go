package listener

import (
	"net"
	"net/http"
	"net/url"
	"strings"

	"plusone/cmd/internal/console"
)

// guard refuses what does not show the token, what could change something that is
// not an operator's, also this without a token, and what a foreign web page may have
// sent, and keeps pages from being framed or from loading anything from elsewhere.
// The console, unless that is nil, guards its own pages; who has logged in there may
// look at all others. With open everybody may look, as without a token.
func guard(token console.Token, open bool, pages *console.Console, next http.Handler) http.Handler {
	open = open || token == nil
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		looks := r.Method == http.MethodGet || r.Method == http.MethodHead
		switch {
		case open && !ownHost(r.Host): // a rebound name knows no token, so where one is wanted any name will do
			http.Error(w, "this listener answers to localhost and to addresses only", http.StatusMisdirectedRequest)
		case foreign(r):
			http.Error(w, "sent by a page of another site", http.StatusForbidden)
		case pages != nil && strings.HasPrefix(r.URL.Path, console.Root):
			protect(w.Header())
			pages.ServeHTTP(w, r)
		case pages != nil && r.URL.Path == "/" && looks && strings.Contains(r.Header.Get("Accept"), "text/html"):
			http.Redirect(w, r, console.Root, http.StatusSeeOther)
		case token != nil && !token.Shown(r) && !(looks && (open || pages != nil && pages.Knows(r))):
			w.Header().Set("WWW-Authenticate", `Basic realm="plusone", charset="UTF-8"`)
			http.Error(w, "this listener wants its token", http.StatusUnauthorized)
		case !looks && (token == nil || !acts(r.URL.Path)):
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "nothing is changed here", http.StatusMethodNotAllowed)
		default:
			protect(w.Header())
			next.ServeHTTP(w, r)
		}
	})
}

// acts reports whether an operator may change what is below a path.
func acts(path string) bool {
	for _, place := range []string{"/sagas/", "/items/", "/dead-letters/", "/revocations"} {
		if strings.HasPrefix(path, place) {
			return true
		}
	}
	return false
}

func protect(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", "default-src 'self'; script-src 'self' 'unsafe-inline'; "+
		"style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'")
}

// ownHost tells whether nobody else can own host: it is localhost or an address.
// A page of another site reaches us under its own name, whatever that resolves to.
func ownHost(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if n := len(host); n > 1 && host[0] == '[' && host[n-1] == ']' {
		host = host[1 : n-1]
	}
	return host == "localhost" || net.ParseIP(host) != nil
}

// foreign tells whether a page of another site sent r: by its Origin, or by what
// browsers say of requests that have none. A link that a person follows is not
// foreign.
func foreign(r *http.Request) bool {
	if origin := r.Header.Get("Origin"); origin != "" {
		u, err := url.Parse(origin)
		return err != nil || u.Host == "" || u.Host != r.Host
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
		return false
	}
	return r.Header.Get("Sec-Fetch-Mode") != "navigate"
}
