package barrier

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// tolerance is how far a call's timestamp may be from the service's clock. Within
// it a copied call can be sent again, which a barrier makes harmless.
const tolerance = 5 * time.Minute

// ErrSignature: a call was not signed with a secret that the service knows, or too
// long ago.
var ErrSignature = errors.New("not signed as it should be")

// Verifier tells plusone's calls from others, by their signature as
// https://www.standardwebhooks.com specifies it.
type Verifier struct{ keys [][]byte }

// NewVerifier accepts calls signed with any of secrets, each whsec_ and the base64
// of 24–64 bytes. To change a secret, accept both for a while.
func NewVerifier(secrets ...string) (*Verifier, error) {
	v := &Verifier{}
	for i, secret := range secrets {
		text, ok := strings.CutPrefix(secret, "whsec_")
		key, err := base64.StdEncoding.DecodeString(text)
		if !ok || err != nil || len(key) < 24 || len(key) > 64 {
			return nil, fmt.Errorf("secret %d of %d is not whsec_ and the base64 of 24–64 bytes", i+1, len(secrets))
		}
		v.keys = append(v.keys, key)
	}
	if len(v.keys) == 0 {
		return nil, errors.New("no secret: calls must be signed")
	}
	return v, nil
}

// Verify returns nil, or an error that wraps ErrSignature, for a call with these
// headers and this whole body that arrived at now.
func (v *Verifier) Verify(h http.Header, body []byte, now time.Time) error {
	id, stamp := h.Get("webhook-id"), h.Get("webhook-timestamp")
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if id == "" || err != nil {
		return fmt.Errorf("%w: no webhook-id or webhook-timestamp", ErrSignature)
	}
	if age := now.Sub(time.Unix(seconds, 0)); age.Abs() > tolerance {
		return fmt.Errorf("%w: its timestamp is %v away from this clock", ErrSignature, age.Abs().Truncate(time.Second))
	}
	for signature := range strings.FieldsSeq(h.Get("webhook-signature")) {
		text, ok := strings.CutPrefix(signature, "v1,")
		mac, err := base64.StdEncoding.DecodeString(text)
		if ok && err == nil && v.signed(mac, id, stamp, body) {
			return nil
		}
	}
	return fmt.Errorf("%w: no signature fits", ErrSignature)
}

func (v *Verifier) signed(mac []byte, id, stamp string, body []byte) bool {
	for _, key := range v.keys {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(id + "." + stamp + "."))
		h.Write(body)
		if hmac.Equal(mac, h.Sum(nil)) {
			return true
		}
	}
	return false
}
