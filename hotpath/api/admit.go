package api

import (
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"time"
)

// limitedError says how long somebody has to wait.
type limitedError struct {
	whose string
	retry time.Duration
}

func (e *limitedError) Error() string {
	return fmt.Sprintf("%v of this %s, ask again in %d s", errLimited, e.whose, seconds(e.retry))
}
func (e *limitedError) Unwrap() error { return errLimited }

// admitAddress counts a request against its address, before anything costly is
// done for it. Servers with a key are not limited by address.
func (s *Server) admitAddress(c *call, peer netip.Addr) error {
	if s.limits == nil || s.limits.addresses == nil {
		return nil
	}
	h := &c.http.Request.Header
	if token, err := bearer(h); err == nil && s.identity.server(token) != "" {
		return nil
	}
	return admit(c, s.limits.addresses, s.limits.address(s.identity.clientOf(h, peer)))
}

// admitUser counts a request against the user who acts, also when a server acts
// for one. Ops that a server sends together are not counted.
func (s *Server) admitUser(c *call) error {
	if s.limits == nil || s.limits.users == nil || c.who.user == "" {
		return nil
	}
	return admit(c, s.limits.users, s.limits.user(c.who.user))
}

// admit tells the client where it stands, by the fields of
// draft-ietf-httpapi-ratelimit-headers-10.
func admit(c *call, k *kindOfBucket, t taking) error {
	c.policies = append(next(c.policies), k.policy...)
	b := append(next(c.allowed), '"')
	b = append(b, k.name...)
	b = append(b, `";r=`...)
	b = strconv.AppendInt(b, int64(t.left), 10)
	b = append(b, `;t=`...)
	b = strconv.AppendInt(b, seconds(t.full), 10)
	c.allowed = b
	if t.ok {
		return nil
	}
	return &limitedError{k.name, t.retry}
}

// next makes room for the next element of a list field.
func next(list []byte) []byte {
	if len(list) > 0 {
		list = append(list, ", "...)
	}
	return list
}

// seconds rounds up: who waits so long has waited long enough.
func seconds(d time.Duration) int64 { return int64(math.Ceil(d.Seconds())) }
