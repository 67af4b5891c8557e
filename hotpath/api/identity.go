package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"plusone/hotpath/like"
)

// How users are known.
const (
	AuthHeader = "header" // X-User-ID, believed from trusted proxies only
	AuthJWT    = "jwt"    // Authorization: Bearer <JWT>
	AuthCookie = "cookie" // a signed cookie, given to every visitor
)

// IdentityOptions say how users and servers are known. With AuthJWT, exactly one
// of the four places of keys is set; it also says which algorithms are possible.
type IdentityOptions struct {
	Auth           string         // AuthHeader, AuthJWT or AuthCookie
	TrustedProxies []netip.Prefix // whose X-User-ID (AuthHeader) and X-Forwarded-For are believed; nil is loopback
	ServerKeys     []string       // name=sha256:<hex of the key's SHA-256>

	HMACSecretFile string // HS256: the file's bytes, less one line break at its end; at least MinSecret
	PublicKeyFile  string // EdDSA: an Ed25519 public key in PEM
	JWKSFile       string // EdDSA and what Algorithms adds; read again every Refresh
	JWKSURL        string // the same over https, or http from loopback

	CookieSecret []byte // for AuthCookie: at least MinSecret bytes, the same in every process

	Origins []Origin // of pages elsewhere that may ask in the name of their visitors; nil: none

	Algorithms []string      // RS256 and ES256, for JWKS only
	Issuer     string        // what iss must be, when set
	Audience   string        // what aud must hold, when set
	Refresh    time.Duration // of a JWKS; 5 min
	Log        *slog.Logger
}

// Identity tells who asks. It holds the keys that credentials are checked with
// and, for a JWKS, the goroutine that reads it again; Close ends that.
type Identity struct {
	trusted  []netip.Prefix
	servers  []serverKey
	tokens   *tokens   // with AuthJWT
	visitors *visitors // with AuthCookie
	origins  origins
}

type serverKey struct {
	name string
	hash [sha256.Size]byte
}

// NewIdentity reads the keys; ctx bounds that.
func NewIdentity(ctx context.Context, o IdentityOptions) (*Identity, error) {
	if o.Log == nil {
		return nil, errors.New("identity: the log is missing")
	}
	id := &Identity{trusted: o.TrustedProxies}
	if id.trusted == nil {
		id.trusted = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	}
	for _, s := range o.ServerKeys {
		k, err := parseServerKey(s)
		if err != nil {
			return nil, err
		}
		id.servers = append(id.servers, k)
	}
	var err error
	if id.origins, err = newOrigins(o.Origins); err != nil {
		return nil, err
	}
	switch o.Auth {
	case AuthHeader:
	case AuthJWT:
		t, err := newTokens(ctx, o)
		if err != nil {
			return nil, fmt.Errorf("auth jwt: %w", err)
		}
		id.tokens = t
	case AuthCookie:
		if len(o.CookieSecret) < MinSecret {
			return nil, fmt.Errorf("auth cookie: the secret has %d bytes, at least %d are needed", len(o.CookieSecret), MinSecret)
		}
		id.visitors = &visitors{o.CookieSecret, id.origins}
	default:
		return nil, fmt.Errorf("auth is %q, want %s, %s or %s", o.Auth, AuthHeader, AuthJWT, AuthCookie)
	}
	return id, nil
}

// Close ends what NewIdentity started and waits for it.
func (id *Identity) Close() {
	if id.tokens != nil {
		id.tokens.keys.close()
	}
}

// parseServerKey reads name=sha256:hex. The text is not quoted in errors: it may
// hold a key by mistake.
func parseServerKey(s string) (k serverKey, err error) {
	name, sum, _ := strings.Cut(s, "=")
	digits, ok := strings.CutPrefix(sum, "sha256:")
	hash, err := hex.DecodeString(digits)
	if name == "" || !ok || err != nil || len(hash) != len(k.hash) {
		return k, errors.New("server keys: one is not name=sha256:<64 hexadecimal digits>; plusone token key makes one")
	}
	k.name = name
	copy(k.hash[:], hash)
	return k, nil
}

// who is the caller of a request. Credentials that are not valid are an error
// also where none are needed, so that nobody takes himself for known by mistake.
func (id *Identity) who(h *fasthttp.RequestHeader, from netip.Addr) (caller, error) {
	token, err := bearer(h)
	if err != nil {
		return caller{}, err
	}
	user, err := userHeader(h)
	if err != nil {
		return caller{}, err
	}
	switch name := id.server(token); {
	case name != "":
		return caller{user: user, key: name}, nil
	case strings.HasPrefix(user, visitorPrefix):
		return caller{}, errVisitorID
	case id.tokens != nil:
		return id.whoByToken(token, user)
	case token != nil:
		return caller{}, fmt.Errorf("%w: this is no server key", errBadIdentity)
	case id.visitors != nil && user != "":
		return caller{}, fmt.Errorf("%w: X-User-ID needs a server key", errForbidden)
	case id.visitors != nil:
		return id.visitors.who(h, from, time.Now())
	case user != "" && !id.trusts(from):
		return caller{}, fmt.Errorf("%w: X-User-ID is believed from trusted proxies only", errForbidden)
	}
	return caller{user: user}, nil
}

func (id *Identity) whoByToken(token []byte, user string) (caller, error) {
	if user != "" {
		return caller{}, fmt.Errorf("%w: X-User-ID needs a server key", errForbidden)
	}
	if token == nil {
		return caller{}, nil
	}
	user, err := id.tokens.user(string(token), time.Now())
	if err != nil {
		return caller{}, fmt.Errorf("%w: %w", errBadIdentity, err)
	}
	return caller{user: user}, nil
}

// errVisitorID keeps users apart from visitors: only a cookie makes one of those,
// and only a server may name one.
var errVisitorID = fmt.Errorf("%w: ids that begin with %s are those of visitors, who have cookies", like.ErrBadID, visitorPrefix)

// varies names the headers that answers depend on.
func (id *Identity) varies() string {
	names := "Authorization, X-User-ID"
	if id.visitors != nil {
		names += ", Cookie"
	}
	if id.origins != nil {
		names += ", Origin"
	}
	return names
}

// server is the name of the server key that token is, or "".
func (id *Identity) server(token []byte) (name string) {
	if len(id.servers) == 0 || token == nil {
		return ""
	}
	sum := sha256.Sum256(token)
	for i := range id.servers {
		if subtle.ConstantTimeCompare(sum[:], id.servers[i].hash[:]) == 1 {
			name = id.servers[i].name
		}
	}
	return name
}

func (id *Identity) trusts(a netip.Addr) bool {
	for _, p := range id.trusted {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// bearer is the credential of the Authorization header, nil without one.
func bearer(h *fasthttp.RequestHeader) ([]byte, error) {
	all := h.PeekAll("Authorization")
	switch len(all) {
	case 0:
		return nil, nil
	case 1:
		const scheme = "bearer "
		if v := all[0]; len(v) > len(scheme) && bytes.EqualFold(v[:len(scheme)], []byte(scheme)) {
			if token := bytes.TrimLeft(v[len(scheme):], " "); len(token) > 0 {
				return token, nil
			}
		}
		return nil, fmt.Errorf("%w: want Authorization: Bearer …", errBadIdentity)
	}
	return nil, fmt.Errorf("%w: more than one Authorization header", errBadIdentity)
}

// userHeader is the checked X-User-ID, "" without one.
func userHeader(h *fasthttp.RequestHeader) (string, error) {
	all := h.PeekAll("X-User-Id")
	switch len(all) {
	case 0:
		return "", nil
	case 1:
		user := string(all[0])
		return user, like.CheckUser(user)
	}
	return "", fmt.Errorf("%w: more than one X-User-ID header", errBadRequest)
}

// peerOf is where a request's connection comes from.
func peerOf(ctx *fasthttp.RequestCtx) netip.Addr {
	if c, ok := ctx.Conn().(*conn); ok {
		return c.peer
	}
	return netip.Addr{}
}
