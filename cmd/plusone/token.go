package main

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"regexp"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"plusone/hotpath/api"
	"plusone/hotpath/like"
)

type tokenCmd struct {
	Key tokenKeyCmd `cmd:"" help:"Make a key for a server that may act for users. Nothing is kept: hand the key to the server, and its hash to --server-keys."`
	JWT tokenJWTCmd `cmd:"" name:"jwt" help:"Sign a token for a user, for a try with --auth jwt and --jwt-secret-file."`
}

type tokenKeyCmd struct {
	Name string `arg:"" help:"How the server is called: letters, digits, - and _."`
	JSON bool   `name:"json" help:"As JSON."`
}

var serverName = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// Run makes a key.
func (c tokenKeyCmd) Run(out io.Writer) error {
	if !serverName.MatchString(c.Name) {
		return usage("%q is no name for a server: use letters, digits, - and _", c.Name)
	}
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails: crypto/rand ends the process instead
	key := hex.EncodeToString(secret)
	hash := sha256.Sum256([]byte(key))
	made := struct {
		Key        string `json:"key"`
		ServerKeys string `json:"server_keys"`
	}{key, c.Name + "=sha256:" + hex.EncodeToString(hash[:])}
	return show(out, c.JSON, made, func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "key: %s\nPLUSONE_SERVER_KEYS=%s\n", made.Key, made.ServerKeys)
	})
}

type tokenJWTCmd struct {
	User          string        `arg:"" help:"The user's id: the token's sub."`
	JWTSecretFile string        `name:"jwt-secret-file" required:"" help:"The file that the API is given." placeholder:"FILE"`
	JWTIssuer     string        `name:"jwt-issuer" help:"The iss, if the API wants one." placeholder:"ISS"`
	JWTAudience   string        `name:"jwt-audience" help:"The aud, if the API wants one." placeholder:"AUD"`
	TTL           time.Duration `name:"ttl" help:"For how long it holds." default:"1h"`
}

// Run signs a token.
func (c tokenJWTCmd) Run(out io.Writer) error {
	if err := like.CheckUser(c.User); err != nil {
		return usage("%w", err)
	}
	if c.TTL <= 0 {
		return usage("--ttl must be more than nothing")
	}
	secret, err := os.ReadFile(c.JWTSecretFile)
	if err != nil {
		return usage("--jwt-secret-file: %w", err)
	}
	secret = bytes.TrimSuffix(bytes.TrimSuffix(secret, []byte("\n")), []byte("\r")) // as the API reads it
	if len(secret) < api.MinSecret {
		return usage("--jwt-secret-file: the secret has %d bytes, at least %d are needed", len(secret), api.MinSecret)
	}
	token, err := c.sign(secret)
	if err != nil {
		return usage("--jwt-secret-file: %w", err)
	}
	_, err = fmt.Fprintln(out, token)
	return err
}

func (c tokenJWTCmd) sign(secret []byte) (string, error) {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: secret}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return "", err
	}
	claims := jwt.Claims{
		Subject: c.User, Issuer: c.JWTIssuer, IssuedAt: jwt.NewNumericDate(time.Now()), Expiry: jwt.NewNumericDate(time.Now().Add(c.TTL)),
	}
	if c.JWTAudience != "" {
		claims.Audience = jwt.Audience{c.JWTAudience}
	}
	return jwt.Signed(signer).Claims(claims).Serialize()
}
