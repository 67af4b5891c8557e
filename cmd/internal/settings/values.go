package settings

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
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

// ServerKey is a named key, known by its SHA-256 alone.
type ServerKey struct {
	Name string
	Hash [sha256.Size]byte
}

// UnmarshalText reads name=sha256:<hex>.
func (k *ServerKey) UnmarshalText(b []byte) error {
	name, rest, ok := strings.Cut(string(b), "=")
	digest, hashed := strings.CutPrefix(rest, "sha256:")
	sum, err := hex.DecodeString(digest)
	if !ok || !hashed || name == "" || err != nil || len(sum) != sha256.Size {
		return fmt.Errorf("a server key is given as name=sha256:<64 hex digits>, not in plain")
	}
	k.Name = name
	copy(k.Hash[:], sum)
	return nil
}
