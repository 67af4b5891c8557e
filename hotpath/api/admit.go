package api

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"time"

	"plusone/hotpath/like"
)

// limitedError says how long somebody has to wait.
type limitedError struct {
	what  error // there was too much of
	whose string
	retry time.Duration
}

func (e *limitedError) Error() string {
	return fmt.Sprintf("%v of this %s, ask again in %d s", e.what, e.whose, seconds(e.retry))
}
func (e *limitedError) Unwrap() error { return e.what }

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
	c.stand(k.policy, k.name, t.left, t.full)
	if t.ok {
		return nil
	}
	return &limitedError{errLimited, k.name, t.retry}
}

func (c *call) stand(policy, name string, left int, full time.Duration) {
	c.policies = append(next(c.policies), policy...)
	b := append(next(c.allowed), '"')
	b = append(b, name...)
	b = append(b, `";r=`...)
	b = strconv.AppendInt(b, int64(left), 10)
	b = append(b, `;t=`...)
	c.allowed = strconv.AppendInt(b, seconds(full), 10)
}

// quotaPolicy is what RateLimit-Policy says of a quota.
func quotaPolicy(q like.Quota) string {
	return fmt.Sprintf(`"quota";q=%d;w=%d`, q.Likes, seconds(q.Window))
}

// count tells the client where the user stands with the quota of likes, if the op has
// asked, and makes of a like too many what every limit makes of a request too many.
func (s *Server) count(c *call, r *like.Result) error {
	if !r.Units.Known {
		return r.Err
	}
	until := max(time.Until(r.Units.Ends), 0)
	c.stand(s.quotaPolicy, "quota", r.Units.Left, until)
	if errors.Is(r.Err, like.ErrQuota) {
		return &limitedError{like.ErrQuota, "user", max(until, time.Second)}
	}
	return r.Err
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
