package doctor_test

import (
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"plusone/cmd/internal/doctor"
)

// here needs no stores: what it finds comes from the settings.
func here() doctor.Settings { return defaults(awayRedis, awayPostgres) }

func hashed(name, key string) string {
	sum := sha256.Sum256([]byte(key))
	return name + "=sha256:" + hex.EncodeToString(sum[:])
}

func TestServerKeysThatEverybodyTriesAreWrong(t *testing.T) {
	t.Chdir(t.TempDir())
	s := here()
	s.ServerKeys = []string{hashed("shop", "a key of its own, long and by chance")}
	want(t, s, "auth.server_keys", doctor.OK, "1 keys")
	s.ServerKeys = append(s.ServerKeys, hashed("till", "changeme"))
	want(t, s, "auth.server_keys", doctor.Wrong, "till is a key that everybody tries")

	check(t, os.Mkdir(".plusone", 0o700))
	check(t, os.WriteFile(filepath.Join(".plusone", "server-key"), []byte("of dev\n"), 0o600))
	s.ServerKeys = []string{hashed("mine", "of dev")}
	want(t, s, "auth.server_keys", doctor.Warning, "mine is the key of plusone dev")
}

func TestWebhookSecretsThatAnybodyKnowsAreWrong(t *testing.T) {
	s := here()
	s.WebhookURLs = []string{"https://shop.example/hook"}
	want(t, s, "settings", doctor.Wrong, "needs a --webhook-secret")
	for secret, level := range map[string]doctor.Level{
		"whsec_qfLpJCFhEWn2ZdVL2W0Zy3WwzZkYlQYAbs8v2eVYI/k=": doctor.OK,
		"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw":             doctor.Wrong, // the standard's example
		"whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA":             doctor.Wrong,
		"whsec_c2hvcnQ=":                                     doctor.Wrong,
		"plain":                                              doctor.Wrong,
	} {
		s.WebhookSecrets = []string{secret}
		want(t, s, "auth.webhook_secrets", level, "")
	}
}

func TestSecretsOfTokensAreLookedAt(t *testing.T) {
	s := here()
	s.Auth.Auth, s.JWTSecretFile = "jwt", filepath.Join(t.TempDir(), "secret")
	want(t, s, "auth.jwt_secret", doctor.Wrong, "no such file")
	for secret, level := range map[string]doctor.Level{
		"b5a6c1f0e2d94837b5a6c1f0e2d94837\n":     doctor.OK,
		"short and sweet":                        doctor.Wrong,
		"a-string-secret-at-least-256-bits-long": doctor.Wrong,
		strings.Repeat("ab", 32):                 doctor.Wrong,
	} {
		check(t, os.WriteFile(s.JWTSecretFile, []byte(secret), 0o600))
		want(t, s, "auth.jwt_secret", level, "")
	}
	check(t, os.WriteFile(s.JWTSecretFile, []byte("b5a6c1f0e2d94837b5a6c1f0e2d94837"), 0o600))
	check(t, os.Chmod(s.JWTSecretFile, 0o644))
	want(t, s, "auth.jwt_secret", doctor.Warning, "others on this machine may read")
}

func TestWhoIsBelievedWithoutProofIsTold(t *testing.T) {
	for _, c := range []struct {
		listen, trusted string
		level           doctor.Level
		part            string
	}{
		{"127.0.0.1:8080", "127.0.0.0/8", doctor.OK, "this machine only"},
		{"127.0.0.1:8080", "10.0.0.0/8", doctor.Warning, "from 10.0.0.0/8 may like in anybody's name"},
		{"0.0.0.0:8080", "10.0.0.0/8", doctor.Warning, "whoever reaches 0.0.0.0:8080"},
		{":8080", "127.0.0.0/8", doctor.Warning, "others can read, not like"},
		{"[::]:8080", "::1/128", doctor.Warning, "others can read, not like"},
		{"127.0.0.1:8080", "0.0.0.0/0", doctor.Wrong, "everybody"},
		{"127.0.0.1:8080", "::/0", doctor.Wrong, "everybody"},
	} {
		s := here()
		s.Listen, s.TrustedProxies = c.listen, []netip.Prefix{netip.MustParsePrefix(c.trusted)}
		want(t, s, "auth.trusted_proxies", c.level, c.part)
	}
}

func TestAnInternalListenerBeyondThisMachineIsTold(t *testing.T) {
	s := here()
	want(t, s, "internal.listener", doctor.OK, "")
	s.InternalListen = "0.0.0.0:9090"
	want(t, s, "internal.listener", doctor.Wrong, "asks for no token")
	for token, level := range map[string]doctor.Level{"secret": doctor.Wrong, "a token of its own, long and by chance": doctor.OK} {
		sum := sha256.Sum256([]byte(token))
		s.InternalToken = sum[:]
		want(t, s, "internal.listener", level, "token")
	}
}

func TestSettingsThatContradictEachOtherAreWrong(t *testing.T) {
	s := here()
	want(t, s, "settings", doctor.OK, "")
	s.JWKSURL = "https://id.example/keys"
	want(t, s, "settings", doctor.Wrong, "--jwks-url means nothing with --auth header")
	s.Auth.Auth = "jwt"
	want(t, s, "settings", doctor.OK, "")
	s.JWTSecretFile = "secret"
	want(t, s, "settings", doctor.Wrong, "2 are set")
	s = here()
	s.WebhookSecrets = []string{"whsec_qfLpJCFhEWn2ZdVL2W0Zy3WwzZkYlQYAbs8v2eVYI/k="}
	want(t, s, "settings", doctor.Wrong, "no --webhook-url")
}
