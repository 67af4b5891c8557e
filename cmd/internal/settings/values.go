package settings

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Shards is a number of shards.
type Shards int

// UnmarshalText reads a power of two from 1 to 4096.
func (s *Shards) UnmarshalText(b []byte) error {
	n, err := strconv.Atoi(string(b))
	if err != nil || n < 1 || n > 4096 || n&(n-1) != 0 {
		return fmt.Errorf("%q is not a power of two from 1 to 4096", b)
	}
	*s = Shards(n)
	return nil
}

// MarshalText writes the number, nothing for none.
func (s Shards) MarshalText() ([]byte, error) {
	if s == 0 {
		return nil, nil
	}
	return strconv.AppendInt(nil, int64(s), 10), nil
}

// Digest is the SHA-256 of a secret; nil is none.
type Digest []byte

// UnmarshalText reads sha256:<hex>. The text is not quoted in errors: it may be
// the secret by mistake.
func (d *Digest) UnmarshalText(b []byte) error {
	digits, ok := strings.CutPrefix(string(b), "sha256:")
	sum, err := hex.DecodeString(digits)
	if !ok || err != nil || len(sum) != sha256.Size {
		return errors.New("want sha256:<64 hexadecimal digits>, the SHA-256 of a secret")
	}
	*d = sum
	return nil
}

// MarshalText writes what UnmarshalText reads.
func (d Digest) MarshalText() ([]byte, error) {
	if d == nil {
		return nil, nil
	}
	return []byte("sha256:" + hex.EncodeToString(d)), nil
}

// SetSize is a number of likers that an item may have in Redis.
type SetSize int

// UnmarshalText reads a number from 1 to 100,000: more would hold up other items
// that are loaded.
func (s *SetSize) UnmarshalText(b []byte) error {
	n, err := strconv.Atoi(string(b))
	if err != nil || n < 1 || n > 100_000 {
		return fmt.Errorf("%q is not a number from 1 to 100000", b)
	}
	*s = SetSize(n)
	return nil
}

// Quota is a number of likes within a window; the zero value is no limit.
type Quota struct {
	Likes  int
	Window time.Duration
}

// UnmarshalText reads N/window, such as 100/1h: up to a million likes within 10 s to 366 days.
func (q *Quota) UnmarshalText(b []byte) error {
	number, text, _ := strings.Cut(string(b), "/")
	n, err := strconv.Atoi(number)
	window, errWindow := time.ParseDuration(text)
	if err != nil || errWindow != nil || n < 1 || n > 1_000_000 ||
		window < 10*time.Second || window > 366*24*time.Hour || window%time.Second != 0 {
		return fmt.Errorf("%q is not N/window, such as 100/1h: up to 1000000 likes within whole seconds, 10s to 8784h", b)
	}
	q.Likes, q.Window = n, window
	return nil
}

// MarshalText writes N/window, nothing for no limit.
func (q Quota) MarshalText() ([]byte, error) {
	if q.Likes == 0 {
		return nil, nil
	}
	return fmt.Appendf(nil, "%d/%s", q.Likes, duration(q.Window)), nil
}

// Participant is a service's name and address.
type Participant struct{ Name, URL string }

var participantName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,31}$`)

// UnmarshalText reads name=URL.
func (p *Participant) UnmarshalText(b []byte) error {
	name, url, ok := strings.Cut(string(b), "=")
	if !ok || url == "" || !participantName.MatchString(name) {
		return errors.New("want name=URL, the name of up to 32 small letters, digits, - and _")
	}
	p.Name, p.URL = name, url
	return nil
}

// MarshalText writes name=URL.
func (p Participant) MarshalText() ([]byte, error) { return []byte(p.Name + "=" + p.URL), nil }
