package api

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// attack signs claims that would pass with key and any headers.
func attack(t testing.TB, alg jose.SignatureAlgorithm, key any, headers map[jose.HeaderKey]any) string {
	t.Helper()
	o := &jose.SignerOptions{}
	for name, value := range headers {
		o.WithHeader(name, value)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, o)
	must(t, err)
	signed, err := signer.Sign([]byte(`{"sub":"admin","exp":9999999999}`))
	must(t, err)
	token, err := signed.CompactSerialize()
	must(t, err)
	return token
}

// TestATokenNeverSaysWhichKeyChecksIt signs with a key of the attacker's own and
// names it in every way that the specifications know.
func TestATokenNeverSaysWhichKeyChecksIt(t *testing.T) {
	var asked atomic.Int32
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		fmt.Fprint(w, setOf(t, "ed", otherKey.Public()))
	}))
	defer evil.Close()
	own, err := json.Marshal(jose.JSONWebKey{Key: otherKey.Public(), KeyID: "ed"})
	must(t, err)
	ours := startAs(t, IdentityOptions{Auth: AuthJWT, PublicKeyFile: file(t, pemOf(t, edKey.Public()))})
	set := startAs(t, IdentityOptions{Auth: AuthJWT, JWKSFile: file(t, setOf(t, "ed", edKey.Public(), "rsa", rsaKey.Public()))})
	secret := startAs(t, IdentityOptions{Auth: AuthJWT, HMACSecretFile: file(t, string(testSecret))})
	headers := map[string]map[jose.HeaderKey]any{
		"jku":            {"jku": evil.URL, "kid": "ed"},
		"jku, relative":  {"jku": "//" + strings.TrimPrefix(evil.URL, "http://") + "/", "kid": "ed"},
		"x5u":            {"x5u": evil.URL, "kid": "ed"},
		"jwk":            {"jwk": json.RawMessage(own), "kid": "ed"},
		"jwk, as text":   {"jwk": string(own), "kid": "ed"},
		"x5c":            {"x5c": []string{base64.StdEncoding.EncodeToString([]byte("no certificate"))}, "kid": "ed"},
		"x5t":            {"x5t": "AAAA", "kid": "ed"},
		"kid of a URL":   {"kid": evil.URL},
		"kid of a file":  {"kid": "/dev/null"},
		"kid traversal":  {"kid": "../../../../../../dev/null"},
		"kid of NUL":     {"kid": "ed\x00"},
		"kid of SQL":     {"kid": "x' UNION SELECT 'key"},
		"kid as a list":  {"kid": []string{"ed"}},
		"kid as object":  {"kid": map[string]string{"$ne": "x"}},
		"b64 false":      {"b64": false, "crit": []string{"b64"}, "kid": "ed"},
		"cty JWT":        {"cty": "JWT", "kid": "ed"},
		"zip":            {"zip": "DEF", "kid": "ed"},
		"crit of jku":    {"crit": []string{"jku"}, "jku": evil.URL, "kid": "ed"},
		"nothing at all": {},
	}
	for name, h := range headers {
		for _, s := range []*site{ours, set, secret} {
			for _, token := range []string{attack(t, jose.EdDSA, otherKey, h), attack(t, jose.HS256, make([]byte, 32), h)} {
				a := s.do(t, "PUT", "/v1/items/a/like", "", "Authorization: Bearer "+token)
				if a.status != 401 || s.store.applied() != 0 {
					t.Errorf("%s: %d %s", name, a.status, a.body)
				}
			}
		}
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("the attacker's server was asked %d times", n)
	}
}

// TestAPublicKeyIsNoSecret signs by HMAC with every text of the public keys.
func TestAPublicKeyIsNoSecret(t *testing.T) {
	der, err := x509.MarshalPKIXPublicKey(rsaKey.Public())
	must(t, err)
	jwk, err := json.Marshal(jose.JSONWebKey{Key: rsaKey.Public(), KeyID: "rsa"})
	must(t, err)
	set := setOf(t, "rsa", rsaKey.Public())
	s := startAs(t, IdentityOptions{Auth: AuthJWT, Algorithms: []string{"RS256"}, JWKSFile: file(t, set)})
	for name, secret := range map[string][]byte{
		"PEM":                 []byte(pemOf(t, rsaKey.Public())),
		"PEM without its end": []byte(strings.TrimSpace(pemOf(t, rsaKey.Public()))),
		"PKCS1 PEM":           pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(&rsaKey.PublicKey)}),
		"DER":                 der,
		"modulus":             rsaKey.N.Bytes(),
		"JWK":                 jwk,
		"the set":             []byte(set),
		"zeros":               make([]byte, 32),
	} {
		for _, alg := range []jose.SignatureAlgorithm{jose.HS256, jose.HS384, jose.HS512} {
			for len(secret) < 64 {
				secret = append(secret, 0)
			}
			token := attack(t, alg, secret, map[jose.HeaderKey]any{"kid": "rsa"})
			wantProblem(t, s.do(t, "PUT", "/v1/items/a/like", "", "Authorization: Bearer "+token), 401, "bad_credentials")
			if s.store.applied() != 0 {
				t.Fatalf("%s with %s is believed", name, alg)
			}
		}
	}
}

// TestATokenSaysNothingTwice: of two claims, or two algorithms, different readers
// take different ones. An empty signature is none, and what is encoded loosely is
// no token.
func TestATokenSaysNothingTwice(t *testing.T) {
	s := startAs(t, IdentityOptions{Auth: AuthJWT, PublicKeyFile: file(t, pemOf(t, edKey.Public())), Issuer: "me", Audience: "likes"})
	claims := func(more string) string {
		return unsignedAs(t, `{"sub":"u","iss":"me","aud":"likes","exp":9999999999`+more+`}`)
	}
	good := claims("")
	if a := s.do(t, "PUT", "/v1/items/a/like", "", "Authorization: Bearer "+good); a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	parts := strings.Split(good, ".")
	header := func(text string) string {
		return base64.RawURLEncoding.EncodeToString([]byte(text)) + "." + parts[1] + "." + parts[2]
	}
	for name, token := range map[string]string{
		"two subs":              claims(`,"sub":"v"`),
		"two subs, the same":    claims(`,"sub":"u"`),
		"a sub in capitals":     unsignedAs(t, `{"SUB":"u","iss":"me","aud":"likes","exp":9999999999}`),
		"an escaped sub":        claims(`,"s\u0075b":"v"`),
		"two exps":              claims(`,"exp":1`),
		"two iss":               claims(`,"iss":"you"`),
		"two auds":              claims(`,"aud":"others"`),
		"two nbfs":              claims(`,"nbf":1,"nbf":2`),
		"sub in a list":         unsignedAs(t, `{"sub":["u"],"iss":"me","aud":"likes","exp":9999999999}`),
		"a list of claims":      unsignedAs(t, `[{"sub":"u","iss":"me","aud":"likes","exp":9999999999}]`),
		"exp beyond all time":   unsignedAs(t, `{"sub":"u","iss":"me","aud":"likes","exp":1e400}`),
		"a negative exp":        unsignedAs(t, `{"sub":"u","iss":"me","aud":"likes","exp":-1}`),
		"two documents":         unsignedAs(t, `{"sub":"u","iss":"me","aud":"likes","exp":9999999999}{"sub":"v"}`),
		"two algorithms":        header(`{"alg":"EdDSA","alg":"none"}`),
		"an empty header":       header(``),
		"null as header":        header(`null`),
		"padding":               parts[0] + "." + parts[1] + "=." + parts[2],
		"a line break":          parts[0] + "." + parts[1] + "\t." + parts[2],
		"standard base64":       parts[0] + "." + parts[1] + "." + strings.NewReplacer("-", "+", "_", "/").Replace(parts[2]) + "+",
		"four parts":            good + ".x",
		"a signature of zeros":  parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 64)),
		"a signature too short": parts[0] + "." + parts[1] + "." + parts[2][:len(parts[2])-4],
		"encrypted":             parts[0] + "." + parts[1] + "." + parts[2] + "." + parts[1] + "." + parts[2],
		"two tokens":            good + "," + good,
		"16 KiB":                good + strings.Repeat("A", 12<<10),
	} {
		calls := s.store.applied()
		a := s.do(t, "PUT", "/v1/items/a/like", "", "Authorization: Bearer "+token)
		if a.status != 401 || s.store.applied() != calls {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
}
