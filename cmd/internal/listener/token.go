package listener

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
)

// Token is the SHA-256 of what requests must show; nil asks for nothing.
type Token []byte

// shown reports whether r holds the token: as Bearer, for machines, or as the
// password of Basic, for browsers.
func (t Token) shown(r *http.Request) bool {
	const scheme = "Bearer "
	_, text, _ := r.BasicAuth()
	if h := r.Header.Get("Authorization"); len(h) > len(scheme) && strings.EqualFold(h[:len(scheme)], scheme) {
		text = h[len(scheme):]
	}
	sum := sha256.Sum256([]byte(text))
	return subtle.ConstantTimeCompare(sum[:], t) == 1
}
