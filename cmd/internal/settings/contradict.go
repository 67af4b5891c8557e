package settings

import (
	"errors"
	"fmt"
)

// Contradiction tells of token settings that say nothing beside --auth (whoever set
// them believes that tokens are asked for), and of sources of keys that are
// missing or too many. nil: there are none.
func (a Auth) Contradiction() error {
	sources := 0
	for _, s := range []struct {
		flag        string
		set, source bool
	}{
		{"jwt-secret-file", a.JWTSecretFile != "", true},
		{"jwt-public-key-file", a.JWTPublicKeyFile != "", true},
		{"jwks-file", a.JWKSFile != "", true},
		{"jwks-url", a.JWKSURL != "", true},
		{"jwt-algorithms", len(a.JWTAlgorithms) > 0, false},
		{"jwt-issuer", a.JWTIssuer != "", false},
		{"jwt-audience", a.JWTAudience != "", false},
	} {
		if s.set && a.Auth != "jwt" {
			return fmt.Errorf("--%s means nothing with --auth %s; tokens are asked for with --auth jwt", s.flag, a.Auth)
		}
		if s.set && s.source {
			sources++
		}
	}
	if a.Auth == "jwt" && sources != 1 {
		return fmt.Errorf("--auth jwt takes its keys from one of --jwt-secret-file, --jwt-public-key-file, --jwks-file and --jwks-url; %d are set", sources)
	}
	return nil
}

// Contradiction tells of a setting that says nothing without a quota.
func (t Tuning) Contradiction() error {
	if t.QuotaRefundUnlikes && t.Quota.Likes == 0 {
		return errors.New("--quota-refund-unlikes means nothing without --quota")
	}
	return nil
}

// Contradiction tells of secrets without a receiver, and of the reverse.
func (n Notify) Contradiction() error {
	switch {
	case len(n.WebhookSecrets) > 0 && len(n.WebhookURLs) == 0:
		return errors.New("--webhook-secret is set, but no --webhook-url: nobody would be told of changes")
	case len(n.WebhookURLs) > 0 && len(n.WebhookSecrets) == 0:
		return errors.New(`--webhook-url needs a --webhook-secret, which signs what is sent: "whsec_$(openssl rand -base64 32)"`)
	}
	return nil
}

// Contradiction tells of participants that can't be called as they are set, and of
// settings that say nothing without them.
func (s Sagas) Contradiction(participants []Participant) error {
	named := map[string]bool{}
	for _, p := range participants {
		if named[p.Name] {
			return fmt.Errorf("--participant %s is there twice", p.Name)
		}
		named[p.Name] = true
	}
	switch {
	case len(participants) == 0 && (len(s.ParticipantSecrets) > 0 || s.SagaAlertURL != ""):
		return errors.New("--participant-secret and --saga-alert-url mean nothing without --participant")
	case len(participants) > 0 && len(s.ParticipantSecrets) == 0:
		return errors.New(`--participant needs a --participant-secret, which signs what is sent: "whsec_$(openssl rand -base64 32)"`)
	}
	return nil
}
