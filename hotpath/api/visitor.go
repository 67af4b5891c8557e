package api

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
)

// visitors gives everybody who reads and shows no cookie a signed one, and knows
// its bearer as a user by it:
//
//	base64url( 16 random bytes ‖ minted, Unix ms, 8 bytes ‖ HMAC-SHA256(secret, label ‖ both)[:16] )
//
// The random bytes are the user: visitor:<base64url>. Nothing is stored, so a
// visitor costs no memory; a visitor who drops the cookie is a new one. A visitor
// may like after visitorWait, so that a program which fetches a cookie for each
// like is no faster than a person.
type visitors struct {
	secret  []byte
	origins origins
}

const (
	visitorLabel  = "plusone visitor 1"
	visitorPrefix = "visitor:" // no other user's id begins so
	visitorWait   = time.Second
	visitorAge    = 400 * 24 * time.Hour // the longest that browsers keep a cookie
	visitorID     = 16
	visitorSigned = visitorID + 8 // bytes before the signature

	// Browsers take a cookie with the prefix __Host- only over https, for this host
	// alone; nobody else's page can put one in its place.
	plainCookie  = "plusone"
	secureCookie = "__Host-plusone"
)

func (v *visitors) mac(b []byte) []byte {
	h := hmac.New(sha256.New, v.secret)
	h.Write([]byte(visitorLabel))
	h.Write(b)
	return h.Sum(nil)[:macSize]
}

// mint makes the cookie of a new visitor.
func (v *visitors) mint(now time.Time) string {
	b := make([]byte, visitorID, visitorSigned+macSize)
	_, _ = rand.Read(b) // never fails: crypto/rand ends the process instead
	b = binary.BigEndian.AppendUint64(b, uint64(now.UnixMilli()))
	return base64.RawURLEncoding.EncodeToString(append(b, v.mac(b)...))
}

// open returns the user that a cookie was minted for, and when.
func (v *visitors) open(cookie []byte, now time.Time) (user string, minted time.Time, err error) {
	var b [visitorSigned + macSize]byte
	if len(cookie) != base64.RawURLEncoding.EncodedLen(len(b)) {
		return "", minted, errors.New("the visitor's cookie is malformed")
	}
	n, err := base64.RawURLEncoding.Strict().Decode(b[:], cookie)
	if err != nil || n != len(b) || !hmac.Equal(b[visitorSigned:], v.mac(b[:visitorSigned])) {
		return "", minted, errors.New("the visitor's cookie is not ours")
	}
	minted = time.UnixMilli(int64(binary.BigEndian.Uint64(b[visitorID:])))
	if now.Sub(minted) > visitorAge {
		return "", minted, errors.New("the visitor's cookie has expired")
	}
	return visitorPrefix + base64.RawURLEncoding.EncodeToString(b[:visitorID]), minted, nil
}

// who knows the visitor of a request. A read never fails: without a good cookie
// it is nobody's, and its answer brings a new one. A write needs one that is old
// enough, and a page of this site that sends it.
func (v *visitors) who(h *fasthttp.RequestHeader, from netip.Addr, now time.Time) (caller, error) {
	reads := h.IsGet() || h.IsHead()
	if !reads && !v.sameSite(h) {
		return caller{}, errCrossSite
	}
	cookie, err := ownCookie(h, cookieName(h, from))
	var user string
	var minted time.Time
	if err == nil && cookie != nil {
		user, minted, err = v.open(cookie, now)
	}
	switch {
	case reads:
		return caller{user: user}, nil
	case err != nil:
		return caller{}, fmt.Errorf("%w: %w", errBadIdentity, err)
	case cookie == nil:
		return caller{}, fmt.Errorf("%w: a GET sets the cookie of a visitor", errNoIdentity)
	case now.Sub(minted) < visitorWait:
		return caller{}, errTooNew
	}
	return caller{user: user}, nil
}

// greet sends a new visitor his cookie.
func (v *visitors) greet(ctx *fasthttp.RequestCtx, from netip.Addr, now time.Time) {
	name := cookieName(&ctx.Request.Header, from)
	c := fasthttp.AcquireCookie()
	defer fasthttp.ReleaseCookie(c)
	c.SetKey(name)
	c.SetValue(v.mint(now))
	c.SetPath("/")
	c.SetMaxAge(int(visitorAge.Seconds()))
	c.SetHTTPOnly(true)
	c.SetSameSite(fasthttp.CookieSameSiteLaxMode)
	c.SetSecure(name == secureCookie)
	ctx.Response.Header.SetCookie(c)
}

// cookieName is that of the secure cookie, unless the request comes from this
// machine to a loopback address and through no proxy: that is plain http for sure.
func cookieName(h *fasthttp.RequestHeader, from netip.Addr) string {
	proxied := len(h.Peek("X-Forwarded-For"))+len(h.Peek("X-Forwarded-Proto"))+len(h.Peek("Forwarded")) > 0
	if from.IsLoopback() && !proxied && isLoopback(hostname(string(h.Host()))) {
		return plainCookie
	}
	return secureCookie
}

// hostname is a Host header without port and brackets.
func hostname(host string) string {
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		host = host[:i]
	}
	return strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
}

// ownCookie is the value of a cookie, nil without one. Two of one name are an
// error: a page of a sister site may have set the other.
func ownCookie(h *fasthttp.RequestHeader, name string) (value []byte, err error) {
	for k, v := range h.Cookies() {
		if string(k) != name {
			continue
		}
		if value != nil {
			return nil, errors.New("there are two cookies of a visitor")
		}
		value = v
	}
	return value, nil
}

// sameSite reports whether a page of this site sent a request, or no page at all:
// browsers send at least one of the headers that it looks at. The first, which they
// leave out over plain http, knows a sister's page (www.example.org for
// likes.example.org) from another site's; the second knows only what is the same, so
// sisters have to be listed. To list another site's origin does not make it one of
// this site: its pages have no cookie to send, it is SameSite=Lax.
func (v *visitors) sameSite(h *fasthttp.RequestHeader) bool {
	switch string(h.Peek("Sec-Fetch-Site")) {
	case "same-origin", "same-site", "none":
		return true
	case "":
		origin := h.Peek("Origin")
		_, host, _ := bytes.Cut(origin, []byte("://"))
		return len(origin) == 0 || len(host) > 0 && bytes.EqualFold(host, h.Host()) || v.origins.has(origin)
	}
	return false
}
