package settings

import (
	"regexp"
	"strings"

	"github.com/alecthomas/kong"
)

// masked stands where a secret is.
const masked = "***"

// mask takes out of a value what must not be seen: all of it when the setting's
// tag is secret:"value", what follows the name when it is secret:"named", and from
// every value the password of a URL and what is called a password or a token in it.
func mask(f *kong.Flag, value string) string {
	if value == "" {
		return ""
	}
	switch f.Tag.Get("secret") {
	case "value":
		return masked
	case "named":
		name, _, ok := strings.Cut(value, "=")
		if !ok {
			return masked
		}
		return name + "=" + masked
	}
	return maskURL(value)
}

// named are passwords and tokens in the query of a URL, or in a Postgres DSN.
var named = regexp.MustCompile(`(?i)([a-z0-9_.-]*(?:pass|secret|token|key|sig)[a-z0-9_.-]*)\s*=\s*('[^']*'|[^&\s]*)`)

// maskURL does not rely on a URL that can be parsed: everything up to the last @
// may belong to the password.
func maskURL(value string) string {
	scheme, rest, ok := strings.Cut(value, "://")
	if at := strings.LastIndexByte(rest, '@'); ok && at >= 0 {
		user, _, hasPassword := strings.Cut(rest[:at], ":")
		switch {
		case hasPassword:
			user += ":" + masked
		case strings.HasSuffix(scheme, "http"), strings.HasSuffix(scheme, "https"): // a token is all there is
			user = masked
		}
		value = scheme + "://" + user + rest[at:]
	}
	return named.ReplaceAllString(value, "${1}="+masked)
}
