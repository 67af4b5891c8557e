package api

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	maxKeyFile     = 1 << 20 // bytes of a file or a JWKS
	maxKeys        = 100     // of a JWKS
	readKeysWithin = 10 * time.Second
)

// A source is where keys come from.
type source struct {
	name      string
	algorithm jose.SignatureAlgorithm // what its keys sign with unless a set says more
	isSet     bool                    // a JWKS, which changes and is read again
	read      func(context.Context) ([]byte, error)
	parse     func([]byte) ([]key, error)
}

func sourceOf(o IdentityOptions) (source, error) {
	var all []source
	add := func(name string, s source) {
		if name != "" {
			s.name = name
			all = append(all, s)
		}
	}
	add(o.HMACSecretFile, source{algorithm: jose.HS256, read: fileReader(o.HMACSecretFile), parse: parseSecret})
	add(o.PublicKeyFile, source{algorithm: jose.EdDSA, read: fileReader(o.PublicKeyFile), parse: parsePEM})
	add(o.JWKSFile, source{algorithm: jose.EdDSA, isSet: true, read: fileReader(o.JWKSFile), parse: parseSet})
	add(o.JWKSURL, source{algorithm: jose.EdDSA, isSet: true, read: urlReader(o.JWKSURL), parse: parseSet})
	if len(all) != 1 {
		return source{}, fmt.Errorf("%d places of keys are set, want one: a secret, a public key, a JWKS file or its URL", len(all))
	}
	return all[0], nil
}

// load reads and parses the keys once.
func (s source) load(ctx context.Context) ([]key, error) {
	ctx, cancel := context.WithTimeout(ctx, readKeysWithin)
	defer cancel()
	b, err := s.read(ctx)
	if err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	all, err := s.parse(b)
	if err != nil {
		return nil, fmt.Errorf("keys in %s: %w", s.name, err)
	}
	return all, nil
}

func fileReader(name string) func(context.Context) ([]byte, error) {
	return func(context.Context) ([]byte, error) {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }() // only read from
		return readBounded(f)
	}
}

func readBounded(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxKeyFile+1))
	if err == nil && len(b) > maxKeyFile {
		err = fmt.Errorf("more than %d bytes", maxKeyFile)
	}
	return b, err
}

// urlReader reads over https, or http from this machine, and follows no
// redirect: keys come from where the operator said.
func urlReader(address string) func(context.Context) ([]byte, error) {
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return func(ctx context.Context) ([]byte, error) {
		if u, err := url.Parse(address); err != nil || u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())) {
			return nil, fmt.Errorf("%s is neither https nor http on loopback", address)
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return nil, err
		}
		resp, err := client.Do(req)
		if err != nil {
			return nil, err
		}
		defer func() { _ = resp.Body.Close() }() // only read from
		if resp.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("%s answers %s", address, resp.Status)
		}
		return readBounded(resp.Body)
	}
}

func isLoopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

func parseSecret(b []byte) ([]key, error) {
	b = bytes.TrimSuffix(bytes.TrimSuffix(b, []byte("\n")), []byte("\r"))
	if len(b) < MinSecret {
		return nil, fmt.Errorf("the secret has %d bytes, at least %d are needed", len(b), MinSecret)
	}
	return []key{{material: b}}, nil
}

func parsePEM(b []byte) ([]key, error) {
	block, _ := pem.Decode(b)
	if block == nil || block.Type != "PUBLIC KEY" {
		return nil, errors.New("no PUBLIC KEY block")
	}
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	if _, ok := public.(ed25519.PublicKey); !ok {
		return nil, fmt.Errorf("the key is a %T, want Ed25519", public)
	}
	return []key{{material: public}}, nil
}

// parseSet reads a JWKS. Keys that cannot be ours (kinds we do not know, for
// encryption, private or shared ones) are passed over, as RFC 7517 has it; a set
// that leaves none is an error.
func parseSet(b []byte) ([]key, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(b, &set); err != nil {
		return nil, err
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("%d keys, at most %d are allowed", len(set.Keys), maxKeys)
	}
	var all []key
	for _, raw := range set.Keys {
		var k jose.JSONWebKey
		if k.UnmarshalJSON(raw) != nil || !k.IsPublic() || k.Use != "" && k.Use != "sig" {
			continue
		}
		all = append(all, key{k.KeyID, jose.SignatureAlgorithm(k.Algorithm), k.Key})
	}
	if len(all) == 0 {
		return nil, errors.New("no public key for signatures")
	}
	return all, nil
}
