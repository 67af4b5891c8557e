package api

import (
	"encoding/base64"
	"errors"
	"fmt"
	"testing"

	"plusone/hotpath/like"
)

func TestACursorOpensOnlyItsOwnList(t *testing.T) {
	s := start(t, nil)
	for i := range 3 {
		s.do(t, "PUT", "/v1/items/a/like", "", as(fmt.Sprint("u", i)))
		s.do(t, "PUT", "/v1/items/b/like", "", as(fmt.Sprint("u", i)))
		s.do(t, "PUT", fmt.Sprintf("/v1/items/i%d/like", i), "", as("a"))
	}
	next := func(target string) string {
		return s.do(t, "GET", target+"?limit=1", "", asServer()).json(t)["next_cursor"].(string)
	}
	likers, likes := next("/v1/items/a/likers"), next("/v1/users/a/likes")
	refused := func(target, cursor string) {
		t.Helper()
		wantProblem(t, s.do(t, "GET", target+"?cursor="+cursor, "", asServer()), 400, "bad_cursor")
	}
	if a := s.do(t, "GET", "/v1/items/a/likers?cursor="+likers, ""); a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	// Moved: another item, another list of the same subject.
	refused("/v1/items/b/likers", likers)
	refused("/v1/users/a/likes", likers)
	refused("/v1/items/a/likers", likes)
	refused("/v1/users/u0/likes", likes)
	// Forged: signed with another secret, or not at all.
	refused("/v1/items/a/likers", cursors{[]byte("another secret of thirty-two bytes")}.sealLiker("a", "u1"))
	refused("/v1/items/a/likers", base64.RawURLEncoding.EncodeToString([]byte("u1")))
	refused("/v1/items/a/likers", likers+"A")
	refused("/v1/items/a/likers", likers+"=")
	// Truncated, and changed in each place.
	for i := range likers {
		refused("/v1/items/a/likers", likers[:max(i, 1)])
		changed := []byte(likers)
		changed[i] = map[bool]byte{true: 'B', false: 'A'}[changed[i] == 'A']
		refused("/v1/items/a/likers", string(changed))
	}
}

func TestASubjectDoesNotRunIntoThePlace(t *testing.T) {
	c := cursors{testSecret}
	if _, err := c.openLiker("ab", c.sealLiker("a", "bc")); !errors.Is(err, errBadCursor) {
		t.Errorf("got %v", err)
	}
	if string(c.mac(likersCursor, "a", []byte("bc"))) == string(c.mac(likersCursor, "ab", []byte("c"))) {
		t.Error("two lists share a signature")
	}
}

func FuzzCursor(f *testing.F) {
	c := cursors{testSecret}
	f.Add("item", "user", c.sealLiker("item", "user"))
	f.Add("user", "item", c.sealLike("user", like.LikedItem{Item: "item", Version: 1 << 40}))
	f.Add("", "", "")
	f.Add("a", "b", "AAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	f.Fuzz(func(t *testing.T, subject, place, cursor string) {
		if user, err := c.openLiker(subject, c.sealLiker(subject, place)); err != nil || user != place {
			t.Fatalf("%q came back as %q: %v", place, user, err)
		}
		last := like.LikedItem{Item: place, Version: like.Version(len(subject))}
		if got, err := c.openLike(subject, c.sealLike(subject, last)); err != nil || got != last {
			t.Fatalf("%v came back as %v: %v", last, got, err)
		}
		// What opens is what was sealed, bit for bit.
		if user, err := c.openLiker(subject, cursor); err == nil && cursor != "" && c.sealLiker(subject, user) != cursor {
			t.Fatalf("%q opened", cursor)
		}
		if got, err := c.openLike(subject, cursor); err == nil && cursor != "" && c.sealLike(subject, got) != cursor {
			t.Fatalf("%q opened", cursor)
		}
	})
}
