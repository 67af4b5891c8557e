package api

import (
	"fmt"
	"regexp"

	"github.com/valyala/fasthttp"
)

// Origin is where a page comes from, as browsers spell it: https://www.example.org.
type Origin string

// UnmarshalText reads an origin. "*" and "null" are none: they would let in pages
// that nobody has named.
func (o *Origin) UnmarshalText(b []byte) error {
	parts := originForm.FindSubmatch(b)
	if parts == nil {
		return fmt.Errorf("%q is no origin: want scheme, host and port if there is one, in small letters, such as https://www.example.org", b)
	}
	if end := string(parts[1]) + string(parts[3]); end == "https:443" || end == "http:80" {
		return fmt.Errorf("%q names the usual port, which browsers leave out: want %s://%s", b, parts[1], parts[2])
	}
	*o = Origin(b)
	return nil
}

var originForm = regexp.MustCompile(`^(https?)://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:[0-9]+)?$`)

// origins are those of the pages that may read our answers and send what only pages
// of our own may otherwise; nil is none.
type origins map[string]struct{}

func newOrigins(list []Origin) (origins, error) {
	var all origins
	for _, o := range list {
		if err := new(Origin).UnmarshalText([]byte(o)); err != nil {
			return nil, fmt.Errorf("api: %w", err)
		}
		if all == nil {
			all = origins{}
		}
		all[string(o)] = struct{}{}
	}
	return all, nil
}

func (o origins) has(origin []byte) bool {
	_, ok := o[string(origin)]
	return ok
}

// What pages on the list may send and see beyond what every page may.
const (
	corsMethods = "GET, HEAD, PUT, POST, DELETE"
	corsHeaders = "Authorization, Content-Type, If-None-Match, X-Request-ID, X-User-ID"
	corsExposed = "ETag, RateLimit, RateLimit-Policy, Retry-After, X-Request-ID"
	corsMaxAge  = "600" // seconds that a page may remember the methods and headers
)

var (
	allowOriginHeader      = []byte("Access-Control-Allow-Origin")
	allowCredentialsHeader = []byte("Access-Control-Allow-Credentials")
	exposeHeadersHeader    = []byte("Access-Control-Expose-Headers")
	corsExposedValue       = []byte(corsExposed)
	yes                    = []byte("true")
)

// admitPage lets a page on the list read the answer.
func (s *Server) admitPage(c *call) {
	origin := c.http.Request.Header.Peek("Origin")
	if !s.identity.origins.has(origin) {
		return
	}
	h := &c.http.Response.Header
	h.SetCanonical(allowOriginHeader, origin)
	h.SetCanonical(allowCredentialsHeader, yes)
	h.SetCanonical(exposeHeadersHeader, corsExposedValue)
}

// appendAdmission is admitPage for an answer that is spelled by hand.
func (s *Server) appendAdmission(b []byte, c *call) []byte {
	if s.identity.origins == nil {
		return b
	}
	b = append(b, "\r\nVary: Origin"...)
	origin := c.http.Request.Header.Peek("Origin")
	if !s.identity.origins.has(origin) {
		return b
	}
	b = append(append(b, "\r\nAccess-Control-Allow-Origin: "...), origin...)
	return append(b, "\r\nAccess-Control-Allow-Credentials: true\r\nAccess-Control-Expose-Headers: "+corsExposed...)
}

// preflight answers a browser that asks what a page on the list may send, and reports
// whether it did. The answer is the same for every path and costs what a refusal
// costs: what is wrong with the request itself the page can then read, and neither
// limits nor credentials, which such a question never has, stand in its way.
func (s *Server) preflight(c *call) bool {
	h := &c.http.Request.Header
	if s.identity.origins == nil || !h.IsOptions() || len(h.Peek("Access-Control-Request-Method")) == 0 || !s.identity.origins.has(h.Peek("Origin")) {
		return false
	}
	r := &c.http.Response
	r.SetStatusCode(fasthttp.StatusNoContent)
	r.Header.Set("Access-Control-Allow-Methods", corsMethods)
	r.Header.Set("Access-Control-Allow-Headers", corsHeaders)
	r.Header.Set("Access-Control-Max-Age", corsMaxAge)
	return true
}
