package doctor

import (
	"bytes"
	"crypto/sha256"
	"net"
	"net/netip"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
)

// network looks at who else may come between or at the stores.
func (e *exam) network() []Finding {
	var all []Finding
	if e.redis != nil {
		all = append(all, redisAccess(e.redis.Client().Options(), e.facts.Config))
	}
	if e.pool != nil {
		all = append(all, postgresTLS(e.pool.Config().ConnConfig))
	}
	return append(all, e.inside())
}

func redisAccess(o *redis.Options, config map[string]string) Finding {
	const check = "redis.access"
	bind, protected := config["bind"], config["protected-mode"]
	switch {
	case o.Password == "" && !isHere(o.Addr):
		return wrong(check, "requirepass or an ACL user there, its password in --redis-url, and a firewall",
			"%s asks for no password: whoever reaches it can change likes", o.Addr)
	case o.Password == "" && protected == "no" && !onlyHere(bind):
		return wrong(check, "CONFIG SET protected-mode yes, or bind it to 127.0.0.1, or set requirepass",
			"it listens on %q without a password or protected-mode: whoever reaches it can change likes", bind)
	case !isHere(o.Addr) && o.TLSConfig == nil:
		return warning(check, "rediss:// in --redis-url, with TLS on the server", "the password and all likes go to %s unencrypted", o.Addr)
	}
	return ok(check, "strangers are kept out as far as can be seen")
}

// onlyHere reports whether a bind setting names nothing but loopback.
func onlyHere(bind string) bool {
	for _, addr := range strings.Fields(bind) {
		if a, err := netip.ParseAddr(strings.TrimPrefix(addr, "-")); err != nil || !a.IsLoopback() {
			return false
		}
	}
	return strings.TrimSpace(bind) != ""
}

func postgresTLS(o *pgx.ConnConfig) Finding {
	const check, fix = "postgres.tls", "sslmode=verify-full (and sslrootcert) in --postgres-url"
	local := strings.HasPrefix(o.Host, "/") || isHere(net.JoinHostPort(o.Host, "0"))
	plain := o.TLSConfig == nil
	for _, f := range o.Fallbacks { // sslmode=prefer tries TLS and goes on without
		plain = plain || f.TLSConfig == nil
	}
	switch {
	case local:
		return ok(check, "Postgres is on this machine")
	case plain:
		return warning(check, fix, "sslmode lets password and likes go to %s unencrypted", o.Host)
	case o.TLSConfig.InsecureSkipVerify && o.TLSConfig.VerifyPeerCertificate == nil:
		return warning(check, fix, "the connection to %s is encrypted, but nobody looks whose it is", o.Host)
	}
	return ok(check, "encrypted, and the server's certificate is checked")
}

func (e *exam) inside() Finding {
	const check = "internal.listener"
	switch {
	case isHere(e.InternalListen):
		return ok(check, "on this machine only")
	case e.InternalToken == nil:
		return wrong(check, "a loopback --internal-listen, or an --internal-token",
			"%s can be reached from other machines and asks for no token: no process starts", e.InternalListen)
	}
	for _, try := range known {
		if sum := sha256.Sum256([]byte(try)); bytes.Equal(sum[:], e.InternalToken) {
			return wrong(check, "make another token: openssl rand -hex 32", "its token is one that everybody tries")
		}
	}
	return ok(check, "%s asks for a token, which TLS of a proxy should cover", e.InternalListen)
}
