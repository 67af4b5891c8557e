package console

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	cookieName  = "plusone_console"
	sessionTime = 8 * time.Hour
	maxName     = 60 // of a person, in bytes
)

// base64url spells bytes in one way alone.
var base64url = base64.RawURLEncoding.Strict()

// session is a person who has shown the token.
type session struct {
	id   string // 16 bytes of chance
	who  string // as the person calls himself; may be ""
	ends time.Time
}

// sessions signs them into cookies and knows which were ended before their time.
type sessions struct {
	key []byte // of what all processes share, and the token
	now func() time.Time

	mu    sync.Mutex
	ended map[string]time.Time // id → when its cookie ends by itself
}

func newSessions(secret, token []byte, now func() time.Time) *sessions {
	mac := hmac.New(sha256.New, secret)
	_, _ = mac.Write(append([]byte("console sessions "), token...)) // a hash takes everything
	return &sessions{key: mac.Sum(nil), now: now, ended: map[string]time.Time{}}
}

func (s *sessions) begin(who string) session {
	id := make([]byte, 16)
	_, _ = rand.Read(id) // never fails: crypto/rand ends the process instead
	return session{id: string(id), who: who, ends: s.now().Add(sessionTime).Truncate(time.Second)}
}

// end makes a session's cookie worth nothing.
func (s *sessions) end(is session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, ends := range s.ended {
		if s.now().After(ends) {
			delete(s.ended, id)
		}
	}
	s.ended[is.id] = is.ends
}

// of is the session of a request, if it has one.
func (s *sessions) of(r *http.Request) (session, bool) {
	c, err := r.Cookie(cookieName)
	if err != nil {
		return session{}, false
	}
	is, ok := s.read(c.Value)
	if !ok || !s.now().Before(is.ends) {
		return session{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ended := s.ended[is.id]
	return is, !ended
}

// cookie is a session as the browser keeps it: when it ends, its id, its name, and
// the signature of these.
func (s *sessions) cookie(is session, r *http.Request) *http.Cookie {
	text := binary.BigEndian.AppendUint64(nil, uint64(is.ends.Unix()))
	text = append(append(text, is.id...), is.who...)
	value := base64url.EncodeToString(append(text, s.sign("cookie", string(text))...))
	return cookieOf(value, is.ends, r)
}

func (s *sessions) read(value string) (session, bool) {
	const fixed = 8 + 16
	b, err := base64url.DecodeString(value)
	if err != nil || len(b) < fixed+sha256.Size {
		return session{}, false
	}
	text, mac := b[:len(b)-sha256.Size], b[len(b)-sha256.Size:]
	if !hmac.Equal(mac, s.sign("cookie", string(text))) {
		return session{}, false
	}
	ends := time.Unix(int64(binary.BigEndian.Uint64(text)), 0)
	return session{id: string(text[8:fixed]), who: string(text[fixed:]), ends: ends}, true
}

func (s *sessions) sign(what, text string) []byte {
	mac := hmac.New(sha256.New, s.key)
	_, _ = mac.Write([]byte(what + "\x00" + text))
	return mac.Sum(nil)
}

// csrf is what a session's forms show, and no other site can know.
func (s *sessions) csrf(is session) string {
	return base64url.EncodeToString(s.sign("form", is.id))
}

func (s *sessions) fromOwnForm(r *http.Request, is session) bool {
	return hmac.Equal([]byte(r.PostFormValue("csrf")), []byte(s.csrf(is)))
}

// cookieOf is for all paths, since the queues and the metrics want it, too. It is
// Secure where the browser came over TLS, here or to a proxy.
func cookieOf(value string, ends time.Time, r *http.Request) *http.Cookie {
	return &http.Cookie{
		Name: cookieName, Value: value, Path: "/", Expires: ends, HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https"),
	}
}
