package api

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"plusone/hotpath/like"
)

const (
	maxToken = 4096             // bytes
	leeway   = 30 * time.Second // between the issuer's clock and ours
	minRSA   = 2048             // bits
)

// tokens checks JSON Web Tokens: which algorithms and keys may have signed them
// is ours to say and never the token's.
type tokens struct {
	algorithms []jose.SignatureAlgorithm
	expected   jwt.Expected
	keys       *keys
}

func newTokens(ctx context.Context, o IdentityOptions) (*tokens, error) {
	source, err := sourceOf(o)
	if err != nil {
		return nil, err
	}
	t := &tokens{algorithms: []jose.SignatureAlgorithm{source.algorithm}, expected: jwt.Expected{Issuer: o.Issuer}}
	if o.Audience != "" {
		t.expected.AnyAudience = jwt.Audience{o.Audience}
	}
	for _, a := range o.Algorithms {
		alg := jose.SignatureAlgorithm(a)
		if alg != jose.RS256 && alg != jose.ES256 || !source.isSet {
			return nil, fmt.Errorf("algorithm %q cannot be added: RS256 and ES256 can, with a JWKS", a)
		}
		t.algorithms = append(t.algorithms, alg)
	}
	t.keys, err = openKeys(ctx, source, o.Refresh, o.Log)
	return t, err
}

// user is the subject of a valid token. Errors say what is wrong with it and
// never quote it.
func (t *tokens) user(token string, now time.Time) (string, error) {
	if len(token) > maxToken {
		return "", fmt.Errorf("the token has more than %d bytes", maxToken)
	}
	parsed, err := jwt.ParseSigned(token, t.algorithms)
	if err != nil || len(parsed.Headers) != 1 {
		return "", errors.New("not a token, or its algorithm is not allowed")
	}
	claims, err := t.verified(parsed)
	if err != nil {
		return "", err
	}
	if claims.Expiry == nil {
		return "", errors.New("the token has no exp")
	}
	if err := claims.ValidateWithLeeway(t.expected.WithTime(now), leeway); err != nil {
		return "", reason(err)
	}
	if like.CheckUser(claims.Subject) != nil || strings.HasPrefix(claims.Subject, visitorPrefix) {
		return "", errors.New("the token's sub is missing or cannot be a user id")
	}
	return claims.Subject, nil
}

func (t *tokens) verified(token *jwt.JSONWebToken) (*jwt.Claims, error) {
	header := token.Headers[0]
	key, ok := t.keys.find(header.KeyID, jose.SignatureAlgorithm(header.Algorithm))
	if !ok {
		return nil, errors.New("the token's key is not known")
	}
	claims := &jwt.Claims{}
	if err := token.Claims(key, claims); err != nil {
		return nil, errors.New("the token's signature or claims are not valid")
	}
	return claims, nil
}

// reason says in our words what go-jose found.
func reason(err error) error {
	for _, known := range []struct {
		err  error
		text string
	}{
		{jwt.ErrExpired, "the token has expired"},
		{jwt.ErrNotValidYet, "the token is not valid yet"},
		{jwt.ErrIssuedInTheFuture, "the token was issued in the future"},
		{jwt.ErrInvalidIssuer, "the token's iss is another's"},
		{jwt.ErrInvalidAudience, "the token's aud is another"},
	} {
		if errors.Is(err, known.err) {
			return errors.New(known.text)
		}
	}
	return errors.New("the token's claims are not valid")
}

// fits reports whether a key is of the kind that an algorithm signs with: an
// HMAC over a public key's bytes is what this keeps out.
func fits(key any, alg jose.SignatureAlgorithm) bool {
	switch k := key.(type) {
	case []byte:
		return alg == jose.HS256 && len(k) >= MinSecret
	case ed25519.PublicKey:
		return alg == jose.EdDSA && len(k) == ed25519.PublicKeySize
	case *rsa.PublicKey:
		return alg == jose.RS256 && k.N.BitLen() >= minRSA
	case *ecdsa.PublicKey:
		return alg == jose.ES256 && k.Curve == elliptic.P256()
	}
	return false
}

// A key is what tokens are verified with.
type key struct {
	id        string                  // its kid, or ""
	algorithm jose.SignatureAlgorithm // the only one it is for, or ""
	material  any
}

// pick is the key for a token: the one it names or, when it names none, the only
// one that fits. Without a set, names mean nothing.
func pick(all []key, isSet bool, kid string, alg jose.SignatureAlgorithm) (any, bool) {
	fitting := slices.DeleteFunc(slices.Clone(all), func(k key) bool {
		return !fits(k.material, alg) || k.algorithm != "" && k.algorithm != alg || isSet && kid != "" && k.id != kid
	})
	if len(fitting) != 1 {
		return nil, false
	}
	return fitting[0].material, true
}
