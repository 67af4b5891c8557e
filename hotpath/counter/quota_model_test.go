package counter

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"pgregory.net/rapid"

	"plusone/hotpath/like"
)

// quotaModel is a quota as it is told to users.
type quotaModel struct {
	units   int
	refunds bool
	used    map[string]int  // in the window
	liked   map[string]bool // item and user
}

// do tells whether an op is refused, and the state of its pair afterwards.
func (m *quotaModel) do(item, user string, want like.Want) (refused, liked bool) {
	pair := item + " " + user
	to := want == like.Liked || want == like.Toggle && !m.liked[pair]
	switch {
	case to == m.liked[pair]:
	case to && m.used[user] == m.units:
		return true, false
	case to:
		m.used[user]++
	case m.refunds && m.used[user] > 0:
		m.used[user]--
	}
	m.liked[pair] = to
	return false, to
}

func (m *quotaModel) tells() string {
	var used []string
	for _, user := range slices.Sorted(maps.Keys(m.used)) {
		if m.used[user] > 0 {
			used = append(used, fmt.Sprint(user, ":", m.used[user]))
		}
	}
	return strings.Join(used, " ")
}

// Whatever users do one after the other, across windows and with items that become
// cold: every answer and every count is that of the model.
func TestAQuotaIsThatOfAModel(t *testing.T) {
	for name, value := range map[string]string{"rapid.checks": "15", "rapid.nofailfile": "true"} {
		if flag.Lookup(name).Value.String() == flag.Lookup(name).DefValue {
			ok(t, flag.Set(name, value))
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		server := miniredis.RunT(t)
		now := time.UnixMilli(windowStart(time.Now())).Add(time.Minute)
		server.SetTime(now)
		m := &quotaModel{units: rapid.IntRange(1, 3).Draw(rt, "units"), refunds: rapid.Bool().Draw(rt, "refunds"), used: map[string]int{}, liked: map[string]bool{}}
		opt := withQuota(m.units)
		opt.Quota.RefundUnlikes = m.refunds
		r := newRig(t, server.Addr(), opt)
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			if rapid.IntRange(0, 9).Draw(rt, "kind") == 0 {
				r.used()
				now = now.Add(quotaWindow)
				server.SetTime(now)
				clear(m.used)
				continue
			}
			item, user := rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}).Draw(rt, "item"), rapid.SampledFrom([]string{"ann", "bob"}).Draw(rt, "user")
			want := rapid.SampledFrom([]like.Want{like.NotLiked, like.Liked, like.Liked, like.Toggle}).Draw(rt, "want")
			refused, liked := m.do(item, user, want)
			res := r.try(item, user, want)
			if errors.Is(res.Err, like.ErrQuota) != refused || !refused && (res.Err != nil || res.Liked != liked) {
				rt.Fatalf("%s %s %d: got %+v, want refused %v, liked %v, used %s", item, user, want, res, refused, liked, m.tells())
			}
		}
		eventually(t, "used is "+m.tells(), func() bool {
			if r.rdb.HGet(t.Context(), keysOf(0).quota, "%w").Val() != fmt.Sprint(windowStart(now), " ", quotaWindow.Milliseconds()) {
				return m.tells() == "" // nobody has asked for a unit in this window
			}
			return r.used() == m.tells()
		})
	})
}
