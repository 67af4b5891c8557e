package settings

import (
	"errors"
	"fmt"
)

// Contradiction names settings that say nothing beside --auth, nil when there are
// none: whoever set them believes that tokens are asked for.
func (a Auth) Contradiction() error {
	if a.Auth == "jwt" {
		return nil
	}
	for flag, set := range map[string]bool{
		"jwt-secret-file": a.JWTSecretFile != "", "jwt-public-key-file": a.JWTPublicKeyFile != "",
		"jwks-file": a.JWKSFile != "", "jwks-url": a.JWKSURL != "", "jwt-algorithms": len(a.JWTAlgorithms) > 0,
		"jwt-issuer": a.JWTIssuer != "", "jwt-audience": a.JWTAudience != "",
	} {
		if set {
			return fmt.Errorf("--%s means nothing with --auth %s; tokens are asked for with --auth jwt", flag, a.Auth)
		}
	}
	return nil
}

// Contradiction tells of secrets without a receiver.
func (n Notify) Contradiction() error {
	if len(n.WebhookSecrets) > 0 && len(n.WebhookURLs) == 0 {
		return errors.New("--webhook-secret is set, but no --webhook-url: nobody would be told of changes")
	}
	return nil
}
