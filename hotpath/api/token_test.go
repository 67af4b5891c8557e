package api

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

var (
	_, edKey, _    = ed25519.GenerateKey(rand.Reader)
	_, otherKey, _ = ed25519.GenerateKey(rand.Reader)
	rsaKey, _      = rsa.GenerateKey(rand.Reader, 2048)
	ecKey, _       = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
)

func file(t testing.TB, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "keys")
	must(t, os.WriteFile(name, []byte(content), 0o600))
	return name
}

func pemOf(t testing.TB, public any) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	must(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// setOf is a JWKS of pairs of kid and key.
func setOf(t testing.TB, pairs ...any) string {
	t.Helper()
	var set jose.JSONWebKeySet
	for i := 0; i < len(pairs); i += 2 {
		set.Keys = append(set.Keys, jose.JSONWebKey{KeyID: pairs[i].(string), Key: pairs[i+1], Use: "sig"})
	}
	b, err := json.Marshal(set)
	must(t, err)
	return string(b)
}

type claims map[string]any

// valid are claims that pass, changed as said; nil removes.
func valid(change claims) claims {
	c := claims{"sub": "u", "exp": time.Now().Add(time.Minute).Unix()}
	for k, v := range change {
		c[k] = v
		if v == nil {
			delete(c, k)
		}
	}
	return c
}

// sign makes a token; kid "" leaves it out.
func sign(t testing.TB, alg jose.SignatureAlgorithm, key any, kid string, c claims) string {
	t.Helper()
	options := &jose.SignerOptions{}
	if kid != "" {
		options.WithHeader("kid", kid)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, options)
	must(t, err)
	payload, err := json.Marshal(c)
	must(t, err)
	signed, err := signer.Sign(payload)
	must(t, err)
	token, err := signed.CompactSerialize()
	must(t, err)
	return token
}

// unsigned makes a token of any header, payload and signature.
func unsigned(header, payload, signature string) string {
	e := base64.RawURLEncoding.EncodeToString
	return e([]byte(header)) + "." + e([]byte(payload)) + "." + e([]byte(signature))
}

func TestWhichTokensAreBelieved(t *testing.T) {
	public := pemOf(t, edKey.Public())
	hmac := startAs(t, IdentityOptions{Auth: AuthJWT, HMACSecretFile: file(t, string(testSecret)+"\n"), Issuer: "me", Audience: "likes"})
	pemKey := startAs(t, IdentityOptions{Auth: AuthJWT, PublicKeyFile: file(t, public)})
	set := startAs(t, IdentityOptions{
		Auth: AuthJWT, Algorithms: []string{"RS256"},
		JWKSFile: file(t, setOf(t, "ed", edKey.Public(), "rsa", rsaKey.Public(), "ec", ecKey.Public(), "shared", testSecret)),
	})
	ours := func(c claims) claims {
		if _, ok := c["iss"]; !ok {
			c["iss"] = "me"
		}
		if _, ok := c["aud"]; !ok {
			c["aud"] = []string{"others", "likes"}
		}
		return valid(c)
	}
	hs := func(c claims) string { return sign(t, jose.HS256, testSecret, "", ours(c)) }
	ed := func(c claims) string { return sign(t, jose.EdDSA, edKey, "", valid(c)) }
	good := ed(nil)
	parts := strings.Split(good, ".")
	now := time.Now().Unix()
	for name, c := range map[string]struct {
		site  *site
		token string
		user  string // "" is refused
	}{
		"HS256":                        {hmac, hs(claims{}), "u"},
		"HS256, one audience":          {hmac, hs(claims{"aud": "likes"}), "u"},
		"HS256, expired within leeway": {hmac, hs(claims{"exp": now - 10}), "u"},
		"EdDSA":                        {pemKey, good, "u"},
		"EdDSA from a set":             {set, sign(t, jose.EdDSA, edKey, "ed", valid(nil)), "u"},
		"EdDSA from a set, unnamed":    {set, good, "u"},
		"RS256 that was asked for":     {set, sign(t, jose.RS256, rsaKey, "rsa", valid(nil)), "u"},
		"a user with a slash":          {pemKey, ed(claims{"sub": "a/b"}), "a/b"},

		"alg none":                       {pemKey, unsigned(`{"alg":"none"}`, `{"sub":"u","exp":9999999999}`, ""), ""},
		"alg none with a signature":      {pemKey, unsigned(`{"alg":"none"}`, `{"sub":"u","exp":9999999999}`, "x"), ""},
		"alg NONE":                       {hmac, unsigned(`{"alg":"NONE"}`, `{"sub":"u","exp":9999999999}`, ""), ""},
		"no alg":                         {pemKey, unsigned(`{}`, `{"sub":"u","exp":9999999999}`, ""), ""},
		"HS256 with the public PEM":      {pemKey, sign(t, jose.HS256, []byte(public), "", valid(nil)), ""},
		"HS256 with the public key":      {pemKey, sign(t, jose.HS256, []byte(edKey.Public().(ed25519.PublicKey)), "", valid(nil)), ""},
		"HS256 with a set's public key":  {set, sign(t, jose.HS256, []byte(edKey.Public().(ed25519.PublicKey)), "ed", valid(nil)), ""},
		"HS256 with a set's shared key":  {set, sign(t, jose.HS256, testSecret, "shared", valid(nil)), ""},
		"HS512 with the secret":          {hmac, sign(t, jose.HS512, append(testSecret, testSecret...), "", ours(claims{})), ""},
		"EdDSA where HS256 is wanted":    {hmac, sign(t, jose.EdDSA, edKey, "", ours(claims{})), ""},
		"ES256 that nobody asked for":    {set, sign(t, jose.ES256, ecKey, "ec", valid(nil)), ""},
		"RS256 named as another":         {set, sign(t, jose.RS256, rsaKey, "ed", valid(nil)), ""},
		"PS256 with the RSA key":         {set, sign(t, jose.PS256, rsaKey, "rsa", valid(nil)), ""},
		"a key that is not known":        {set, sign(t, jose.EdDSA, edKey, "new", valid(nil)), ""},
		"another's key":                  {pemKey, sign(t, jose.EdDSA, otherKey, "", valid(nil)), ""},
		"another's key under our name":   {set, sign(t, jose.EdDSA, otherKey, "ed", valid(nil)), ""},
		"expired":                        {pemKey, ed(claims{"exp": now - 60}), ""},
		"no exp":                         {pemKey, ed(claims{"exp": nil}), ""},
		"exp null":                       {pemKey, unsignedAs(t, `{"sub":"u","exp":null}`), ""},
		"exp as text":                    {pemKey, ed(claims{"exp": "9999999999"}), ""},
		"not valid yet":                  {pemKey, ed(claims{"nbf": now + 300}), ""},
		"issued in the future":           {pemKey, ed(claims{"iat": now + 300}), ""},
		"no sub":                         {pemKey, ed(claims{"sub": nil}), ""},
		"empty sub":                      {pemKey, ed(claims{"sub": ""}), ""},
		"sub that is no user":            {pemKey, ed(claims{"sub": "a b"}), ""},
		"sub as a number":                {pemKey, ed(claims{"sub": 7}), ""},
		"two subs":                       {pemKey, unsignedAs(t, `{"sub":"u","sub":"v","exp":9999999999}`), ""},
		"wrong iss":                      {hmac, hs(claims{"iss": "you"}), ""},
		"no iss":                         {hmac, hs(claims{"iss": nil}), ""},
		"wrong aud":                      {hmac, hs(claims{"aud": "others"}), ""},
		"no aud":                         {hmac, hs(claims{"aud": nil}), ""},
		"crit":                           {pemKey, signedHeader(t, "crit", []string{"exp"}), ""},
		"a key of its own":               {pemKey, embedded(t), ""},
		"changed payload":                {pemKey, parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"admin","exp":9999999999}`)) + "." + parts[2], ""},
		"no signature":                   {pemKey, parts[0] + "." + parts[1] + ".", ""},
		"two parts":                      {pemKey, parts[0] + "." + parts[1], ""},
		"JSON serialization":             {pemKey, `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`, ""},
		"too long":                       {pemKey, ed(claims{"x": strings.Repeat("x", maxToken)}), ""},
		"garbage":                        {pemKey, "x", ""},
		"a server key's hash as a token": {set, serverKeySetting(), ""},
	} {
		t.Run(name, func(t *testing.T) {
			calls := c.site.store.applied()
			a := c.site.do(t, "PUT", "/v1/items/a/like", "", "Authorization: Bearer "+c.token)
			if c.user != "" {
				if a.status != 200 || a.json(t)["user"] != c.user {
					t.Fatalf("%d %s", a.status, a.body)
				}
				return
			}
			wantProblem(t, a, 401, "bad_credentials")
			if !strings.Contains(a.header.Get("WWW-Authenticate"), `error="invalid_token"`) {
				t.Error(a.header)
			}
			wantProblem(t, c.site.do(t, "GET", "/v1/items/a", "", "Authorization: Bearer "+c.token), 401, "bad_credentials")
			if c.site.store.applied() != calls {
				t.Error("something was applied")
			}
		})
	}
}

// unsignedAs signs a payload that no encoder would write.
func unsignedAs(t testing.TB, payload string) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: edKey}, nil)
	must(t, err)
	signed, err := signer.Sign([]byte(payload))
	must(t, err)
	token, err := signed.CompactSerialize()
	must(t, err)
	return token
}

func signedHeader(t testing.TB, name jose.HeaderKey, value any) string {
	t.Helper()
	o := (&jose.SignerOptions{}).WithHeader(name, value)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: edKey}, o)
	must(t, err)
	signed, err := signer.Sign([]byte(`{"sub":"u","exp":9999999999}`))
	must(t, err)
	token, err := signed.CompactSerialize()
	must(t, err)
	return token
}

// embedded is a token that brings the key it is signed with.
func embedded(t testing.TB) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: otherKey}, &jose.SignerOptions{EmbedJWK: true})
	must(t, err)
	signed, err := signer.Sign([]byte(`{"sub":"u","exp":9999999999}`))
	must(t, err)
	token, err := signed.CompactSerialize()
	must(t, err)
	return token
}

func TestAKeyIsOnlyForTheAlgorithmsOfItsKind(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	must(t, err)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	must(t, err)
	all := []jose.SignatureAlgorithm{jose.HS256, jose.EdDSA, jose.RS256, jose.ES256, jose.HS512, jose.PS256, ""}
	for _, c := range []struct {
		material any
		only     jose.SignatureAlgorithm
	}{
		{testSecret, jose.HS256},
		{edKey.Public(), jose.EdDSA},
		{rsaKey.Public(), jose.RS256},
		{ecKey.Public(), jose.ES256},
		{testSecret[:31], "no"},
		{small.Public(), "no"},
		{p384.Public(), "no"},
		{edKey, "no"},
		{nil, "no"},
	} {
		for _, alg := range all {
			if _, ok := pick([]key{{material: c.material}}, false, "", alg); ok != (alg == c.only) {
				t.Errorf("a %T with %s: %t", c.material, alg, ok)
			}
		}
	}
	two := []key{{id: "a", material: edKey.Public()}, {id: "b", algorithm: jose.RS256, material: edKey.Public()}, {id: "c", material: otherKey.Public()}}
	for kid, want := range map[string]bool{"a": true, "b": false, "c": true, "d": false, "": false} {
		if _, ok := pick(two, true, kid, jose.EdDSA); ok != want {
			t.Errorf("kid %q: %t", kid, ok)
		}
	}
}

func TestANewKeyOfASetIsFoundAndAnOldOneGoes(t *testing.T) {
	var set atomic.Pointer[string]
	var asked, fail atomic.Int32
	give := func(s string) { set.Store(&s) }
	give(setOf(t, "old", edKey.Public()))
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		if fail.Load() == 1 {
			w.WriteHeader(500)
			return
		}
		fmt.Fprint(w, *set.Load())
	}))
	defer keys.Close()
	id := newIdentity(t, IdentityOptions{Auth: AuthJWT, JWKSURL: keys.URL, Refresh: 20 * time.Millisecond})
	old, young := sign(t, jose.EdDSA, edKey, "old", valid(nil)), sign(t, jose.EdDSA, otherKey, "new", valid(nil))
	known := func(token string) bool { _, err := id.tokens.user(token, time.Now()); return err == nil }
	if !known(old) || known(young) {
		t.Fatal("the first set does not hold")
	}
	fail.Store(1)
	n := asked.Load()
	eventually(t, "two readings that fail", func() bool { return asked.Load() > n+2 })
	if !known(old) {
		t.Fatal("a reading that fails loses the keys")
	}
	give(setOf(t, "new", otherKey.Public()))
	fail.Store(0)
	eventually(t, "the new key is known", func() bool { return known(young) })
	if known(old) {
		t.Fatal("the old key stays")
	}
}

func TestAnUnknownKeyAsksForTheSetOnce(t *testing.T) {
	var asked atomic.Int32
	set := setOf(t, "old", edKey.Public())
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		fmt.Fprint(w, set)
	}))
	defer keys.Close()
	id := newIdentity(t, IdentityOptions{Auth: AuthJWT, JWKSURL: keys.URL, Refresh: time.Hour})
	token := sign(t, jose.EdDSA, otherKey, "new", valid(nil))
	for range 100 {
		if _, err := id.tokens.user(token, time.Now()); err == nil {
			t.Fatal("believed")
		}
	}
	eventually(t, "the set is read again", func() bool { return asked.Load() == 2 })
	for range 100 {
		_, _ = id.tokens.user(token, time.Now())
	}
	id.Close() // waits for the reader
	if asked.Load() != 2 {
		t.Errorf("the set was read %d times", asked.Load())
	}
}

func TestASetThatIsElsewhereOrBrokenIsRefusedAtStart(t *testing.T) {
	good := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, setOf(t, "old", edKey.Public()))
	}))
	defer good.Close()
	moved := httptest.NewServer(http.RedirectHandler(good.URL, http.StatusFound))
	defer moved.Close()
	large := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, strings.Repeat(" ", maxKeyFile), setOf(t, "old", edKey.Public()))
	}))
	defer large.Close()
	for _, u := range []string{moved.URL, large.URL, "http://127.0.0.1:1/"} {
		if _, err := NewIdentity(t.Context(), IdentityOptions{Auth: AuthJWT, JWKSURL: u, Log: start(t, nil).log}); err == nil {
			t.Errorf("%s: accepted", u)
		}
	}
}
