package console

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
)

// Token is the SHA-256 of what requests must show; nil asks for nothing.
type Token []byte

// Is reports whether text is the token. Nothing is when there is none.
func (t Token) Is(text string) bool {
	sum := sha256.Sum256([]byte(text))
	return subtle.ConstantTimeCompare(sum[:], t) == 1
}

// Shown reports whether r holds the token: as Bearer, for machines, or as the
// password of Basic, for browsers.
func (t Token) Shown(r *http.Request) bool {
	const scheme = "Bearer "
	_, text, _ := r.BasicAuth()
	if h := r.Header.Get("Authorization"); len(h) > len(scheme) && strings.EqualFold(h[:len(scheme)], scheme) {
		text = h[len(scheme):]
	}
	return t.Is(text)
}
