package redisbarrier

import (
	"errors"
	"fmt"
	"strings"
)

// tagOf is the hash tag that puts a key on the slot of keys, as the specification
// of Redis Cluster defines it: what is between the first { and the next }, unless
// that is nothing; else the whole key.
func tagOf(keys []string) (string, error) {
	if len(keys) == 0 {
		return "", errors.New("the work names no key")
	}
	tag := hashed(keys[0])
	for _, key := range keys[1:] {
		if hashed(key) != tag {
			return "", fmt.Errorf("keys %q and %q are on two slots", keys[0], key)
		}
	}
	if tag == "" || strings.Contains(tag, "}") {
		return "", fmt.Errorf("no hash tag can name the slot of key %q", keys[0])
	}
	return tag, nil
}

// hashed is the part of key that its slot depends on.
func hashed(key string) string {
	_, rest, open := strings.Cut(key, "{")
	tag, _, closed := strings.Cut(rest, "}")
	if open && closed && tag != "" {
		return tag
	}
	return key
}
