package doctor

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
)

// identity looks for ways in which strangers could like in somebody's name.
func (e *exam) identity() []Finding {
	all := []Finding{e.contradictions(), e.serverKeys(), e.webhookSecrets()}
	if e.Auth.Auth == "header" {
		return append(all, e.proxies())
	}
	if e.JWTSecretFile != "" {
		all = append(all, jwtSecret(e.JWTSecretFile))
	}
	return all
}

func (e *exam) contradictions() Finding {
	const check = "settings"
	if err := errors.Join(e.Auth.Contradiction(), e.Notify.Contradiction()); err != nil {
		return wrong(check, "add what is missing, or remove what is too much", "%v: no process starts", err)
	}
	return ok(check, "they go together")
}

// known are secrets that people try first, and those of examples.
var known = []string{
	"secret", "password", "changeme", "change-me", "test", "key", "admin", "plusone", "example", "your-256-bit-secret",
	"a-string-secret-at-least-256-bits-long", "0123456789abcdef0123456789abcdef", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
}

// weak says what is wrong with a secret, "" when nothing can be seen.
func weak(secret []byte) string {
	for _, k := range known {
		if string(secret) == k {
			return "is one that everybody tries"
		}
	}
	seen := map[byte]bool{}
	for _, b := range secret {
		seen[b] = true
	}
	if len(seen) < 8 {
		return fmt.Sprintf("has only %d different bytes", len(seen))
	}
	return ""
}

// devKey is where plusone dev keeps the key of its server.
var devKey = filepath.Join(".plusone", "server-key")

// serverKeys knows the hashes only, so it can but try.
func (e *exam) serverKeys() Finding {
	const check = "auth.server_keys"
	tries := known
	dev, err := os.ReadFile(devKey)
	if err == nil {
		tries = append([]string{string(bytes.TrimSpace(dev))}, known...)
	}
	for i, try := range tries {
		sum := sha256.Sum256([]byte(try))
		for _, k := range e.ServerKeys {
			name, hash, _ := strings.Cut(k, "=")
			if !strings.EqualFold(hash, "sha256:"+hex.EncodeToString(sum[:])) {
				continue
			}
			if err == nil && i == 0 {
				return warning(check, "make a key of its own: openssl rand -hex 32", "%s is the key of plusone dev in %s", name, devKey)
			}
			return wrong(check, "make another key: openssl rand -hex 32", "%s is a key that everybody tries: it may like in anybody's name", name)
		}
	}
	return ok(check, "%d keys, none that everybody tries", len(e.ServerKeys))
}

func (e *exam) webhookSecrets() Finding {
	const check, another = "auth.webhook_secrets", `make another one: echo "whsec_$(openssl rand -base64 32)"`
	for i, s := range e.WebhookSecrets {
		text := strings.TrimPrefix(s, "whsec_")
		key, err := base64.StdEncoding.DecodeString(text)
		why := weak(key)
		if common := weak([]byte(text)); common != "" {
			why = common
		}
		switch {
		case err != nil || len(key) < 24 || len(key) > 64:
			return wrong(check, another, "secret %d is not whsec_ and the base64 of 24–64 bytes: no worker starts with it", i+1)
		case why != "":
			return wrong(check, another, "secret %d %s: anybody can sign notifications", i+1, why)
		}
	}
	return ok(check, "%d receivers, %d secrets", len(e.WebhookURLs), len(e.WebhookSecrets))
}

func jwtSecret(file string) Finding {
	const check, another = "auth.jwt_secret", "make another one: openssl rand -hex 32"
	secret, err := os.ReadFile(file)
	if err != nil {
		return wrong(check, "correct --jwt-secret-file", "%v: no API starts", err)
	}
	secret = bytes.TrimSuffix(bytes.TrimSuffix(secret, []byte("\n")), []byte("\r"))
	if why := weak(secret); why != "" {
		return wrong(check, another, "the secret %s: anybody can make tokens", why)
	}
	if len(secret) < 32 {
		return wrong(check, another, "the secret has %d bytes, 32 are needed: no API starts", len(secret))
	}
	if info, err := os.Stat(file); err == nil && info.Mode().Perm()&0o044 != 0 {
		return warning(check, "chmod 600 "+file, "others on this machine may read %s (mode %o) and make tokens", file, info.Mode().Perm())
	}
	return ok(check, "%d bytes, and nothing that everybody tries", len(secret))
}

// proxies are those who may say in X-User-ID who somebody is.
func (e *exam) proxies() Finding {
	const check, fix = "auth.trusted_proxies", "name the proxies' own addresses only in --trusted-proxies, or use --auth jwt"
	var wide, remote []string
	for _, p := range e.TrustedProxies {
		switch {
		case p.Bits() == 0:
			wide = append(wide, p.String())
		case !p.Addr().IsLoopback():
			remote = append(remote, p.String())
		}
	}
	open := everywhere(e.Listen)
	switch {
	case len(wide) > 0:
		return wrong(check, fix, "everybody (%s) is believed who they say they are", strings.Join(wide, ", "))
	case len(remote) > 0 && open:
		return warning(check, "listen on the address that the proxies use, with a firewall; or use --auth jwt",
			"whoever reaches %s from %s may like in anybody's name", e.Listen, strings.Join(remote, ", "))
	case len(remote) > 0:
		return warning(check, fix, "whoever reaches us from %s may like in anybody's name", strings.Join(remote, ", "))
	case open:
		return warning(check, "listen on loopback behind a proxy of this machine, name the proxies in --trusted-proxies, or use --auth jwt",
			"%s is open to all machines, but X-User-ID is believed from this one only: others can read, not like", e.Listen)
	}
	return ok(check, "X-User-ID is believed from this machine only")
}

// everywhere reports whether an address is every address of this machine.
func everywhere(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && ip.IsUnspecified()
}
