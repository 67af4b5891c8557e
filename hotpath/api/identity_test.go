package api

import (
	"log/slog"
	"net/netip"
	"strings"
	"testing"
)

func newIdentity(t testing.TB, o IdentityOptions) *Identity {
	t.Helper()
	o.Log = slog.New(slog.DiscardHandler)
	o.ServerKeys = append(o.ServerKeys, serverKeySetting())
	id, err := NewIdentity(t.Context(), o)
	must(t, err)
	t.Cleanup(id.Close)
	return id
}

// startAs starts a server that knows users as o says.
func startAs(t testing.TB, o IdentityOptions) *site {
	return start(t, func(so *Options) { so.Identity = newIdentity(t, o) })
}

func TestWhoIsBelieved(t *testing.T) {
	near := startAs(t, IdentityOptions{Auth: AuthHeader})
	far := startAs(t, IdentityOptions{Auth: AuthHeader, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	none := startAs(t, IdentityOptions{Auth: AuthHeader, TrustedProxies: []netip.Prefix{}})
	token := startAs(t, IdentityOptions{Auth: AuthJWT, HMACSecretFile: file(t, string(testSecret))})
	const like, read = "PUT /v1/items/a/like", "GET /v1/items/a"
	for name, c := range map[string]struct {
		site    *site
		what    string
		headers []string
		status  int
		code    string // of the problem, or the user that is believed
	}{
		"header from a proxy":                 {near, like, []string{as("u")}, 200, "u"},
		"header in another case":              {near, like, []string{"x-uSER-id:   u  "}, 200, "u"},
		"nobody reads":                        {near, read, nil, 200, ""},
		"header from elsewhere":               {far, like, []string{as("u")}, 403, "forbidden"},
		"header from elsewhere, on a read":    {far, read, []string{as("u")}, 403, "forbidden"},
		"nobody from elsewhere":               {far, read, nil, 200, ""},
		"no proxies at all":                   {none, like, []string{as("u")}, 403, "forbidden"},
		"server for a user":                   {near, like, []string{asServer(), as("u")}, 200, "u"},
		"server for a user, from elsewhere":   {far, like, []string{asServer(), as("u")}, 200, "u"},
		"server for a user, with tokens":      {token, like, []string{asServer(), as("u")}, 200, "u"},
		"server for nobody":                   {near, read, []string{asServer()}, 200, ""},
		"scheme in another case":              {near, like, []string{"authorization: bEARER  " + serverToken, as("u")}, 200, "u"},
		"wrong server key":                    {near, like, []string{asServer() + "x", as("u")}, 401, "bad_credentials"},
		"wrong server key, on a read":         {near, read, []string{asServer() + "x"}, 401, "bad_credentials"},
		"the hash of a server key":            {near, like, []string{"Authorization: Bearer " + serverKeySetting()[13:], as("u")}, 401, "bad_credentials"},
		"empty bearer":                        {near, read, []string{"Authorization: Bearer "}, 401, "bad_credentials"},
		"basic":                               {near, read, []string{"Authorization: Basic dTpw"}, 401, "bad_credentials"},
		"two authorizations":                  {near, read, []string{asServer(), asServer()}, 401, "bad_credentials"},
		"server for a user that is none":      {near, like, []string{asServer(), as("a b")}, 400, "bad_id"},
		"header where tokens are wanted":      {token, like, []string{as("u")}, 403, "forbidden"},
		"header where tokens are wanted read": {token, read, []string{as("u")}, 403, "forbidden"},
		"nobody where tokens are wanted":      {token, like, nil, 401, "no_identity"},
	} {
		t.Run(name, func(t *testing.T) {
			c.site.store.askedBy = "?"
			calls := c.site.store.applied()
			method, target, _ := strings.Cut(c.what, " ")
			a := c.site.do(t, method, target, "", c.headers...)
			if c.status != 200 {
				wantProblem(t, a, c.status, c.code)
				if c.site.store.applied() != calls || c.site.store.askedBy != "?" {
					t.Error("a store was asked")
				}
				return
			}
			user := c.site.store.askedBy
			if method == "PUT" {
				user, _ = a.json(t)["user"].(string)
			}
			if a.status != 200 || user != c.code {
				t.Errorf("%d %s, for %q", a.status, a.body, user)
			}
		})
	}
}

func TestAServerMayReadAnyonesLikes(t *testing.T) {
	s := start(t, nil)
	wantBody(t, s.do(t, "GET", "/v1/users/u/likes", "", asServer()), `{"likes":[]}`)
	wantBody(t, s.do(t, "GET", "/v1/users/u/likes", "", asServer(), as("v")), `{"likes":[]}`)
	wantBody(t, s.do(t, "GET", "/v1/users/u/likes", "", as("u")), `{"likes":[]}`)
}

func TestIdentitySettingsThatCannotBeMeant(t *testing.T) {
	secret, public := file(t, string(testSecret)), file(t, pemOf(t, edKey.Public()))
	for name, o := range map[string]IdentityOptions{
		"no auth":                 {},
		"unknown auth":            {Auth: "basic"},
		"no keys":                 {Auth: AuthJWT},
		"cookies, no secret":      {Auth: AuthCookie},
		"cookies, short secret":   {Auth: AuthCookie, CookieSecret: testSecret[:31]},
		"two places of keys":      {Auth: AuthJWT, HMACSecretFile: secret, PublicKeyFile: public},
		"a missing file":          {Auth: AuthJWT, HMACSecretFile: secret + "x"},
		"a short secret":          {Auth: AuthJWT, HMACSecretFile: file(t, strings.Repeat("x", 31)+"\n")},
		"an RSA key as EdDSA":     {Auth: AuthJWT, PublicKeyFile: file(t, pemOf(t, rsaKey.Public()))},
		"a secret as public key":  {Auth: AuthJWT, PublicKeyFile: secret},
		"RS256 without a set":     {Auth: AuthJWT, PublicKeyFile: public, Algorithms: []string{"RS256"}},
		"HS256 added to a set":    {Auth: AuthJWT, JWKSFile: file(t, setOf(t, "ed", edKey.Public())), Algorithms: []string{"HS256"}},
		"none":                    {Auth: AuthJWT, JWKSFile: file(t, setOf(t, "ed", edKey.Public())), Algorithms: []string{"none"}},
		"a set of shared keys":    {Auth: AuthJWT, JWKSFile: file(t, setOf(t, "s", testSecret))},
		"a set of private keys":   {Auth: AuthJWT, JWKSFile: file(t, setOf(t, "s", edKey))},
		"a set that is none":      {Auth: AuthJWT, JWKSFile: file(t, "[]")},
		"a set of too many":       {Auth: AuthJWT, JWKSFile: file(t, `{"keys":[`+strings.Repeat("{},", 100)+`{}]}`)},
		"a set that is too large": {Auth: AuthJWT, JWKSFile: file(t, strings.Repeat(" ", maxKeyFile+1))},
		"a set over plain http":   {Auth: AuthJWT, JWKSURL: "http://192.0.2.1/keys"},
		"a set in a file: URL":    {Auth: AuthJWT, JWKSURL: "file:///etc/passwd"},
		"a key that is not hash":  {Auth: AuthHeader, ServerKeys: []string{"a=" + serverToken}},
		"a hash without a name":   {Auth: AuthHeader, ServerKeys: []string{serverKeySetting()[5:]}},
		"a short hash":            {Auth: AuthHeader, ServerKeys: []string{"a=sha256:abcd"}},
	} {
		o.Log = slog.New(slog.DiscardHandler)
		id, err := NewIdentity(t.Context(), o)
		if err == nil {
			id.Close()
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(err.Error(), serverToken) || strings.Contains(err.Error(), string(testSecret)) {
			t.Errorf("%s: the error tells a secret: %v", name, err)
		}
	}
}
