package ledger_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"plusone/hotpath/like"
	"plusone/tasks/ledger"
)

func TestADigestIsTheSameWhereverItIsMade(t *testing.T) {
	s := newStore(t)
	users := map[string][]string{"empty": nil, "all": nil, "some": nil}
	var rows []ledger.Row
	add := func(item, user string, liked bool) {
		rows = append(rows, row(item, user, liked, like.Version(len(rows)+1)<<20))
		if liked {
			users[item] = append(users[item], user)
		}
	}
	for n := range like.MaxUser { // every length, with every byte value somewhere
		user := strings.Repeat(string(rune('a'+n%26)), n) + string(rune(33+n%90))
		add("all", user, true)
		add("some", user, n%3 != 0)
		add("removed", user, false)
	}
	add("all", "日本語-üöä", true)
	s.apply(rows...)
	items := []string{"some", "empty", "all", "removed"}
	for range 20 {
		key := ledger.NewDigestKey()
		got, err := s.Digests(t.Context(), items, key)
		must(t, err)
		for i, item := range items {
			var want ledger.Digest
			rand.Shuffle(len(users[item]), func(i, j int) {
				users[item][i], users[item][j] = users[item][j], users[item][i]
			})
			for _, u := range users[item] {
				key.Add(&want, u)
			}
			if got[i] != want {
				t.Fatalf("%s with key %d: the ledger has %v, want %v", item, key, got[i], want)
			}
		}
	}
}

func TestSetsThatDifferByOneUserHaveOtherDigests(t *testing.T) {
	key := ledger.NewDigestKey()
	of := func(users ...string) (d ledger.Digest) {
		for _, u := range users {
			key.Add(&d, u)
		}
		return d
	}
	seen := map[ledger.Digest]string{}
	for _, set := range [][]string{{}, {"a"}, {"b"}, {"a", "b"}, {"a", "c"}, {"ab"}, {"a\x00"}, {"a", "b", "c"}} {
		d := of(set...)
		if was, is := seen[d]; is {
			t.Errorf("%q looks like %s", set, was)
		}
		seen[d] = strings.Join(set, " ")
	}
	if of("a", "b") != of("b", "a") || of("a") == (ledger.Digest{Users: 1}) {
		t.Error("the order of users matters, or the users do not")
	}
}

func BenchmarkDigest(b *testing.B) {
	for _, user := range []string{"100000000042", "0b6f4c55-4a5b-4a62-9f4d-1f6f6c1f7a90"} {
		b.Run(user, func(b *testing.B) {
			key := ledger.NewDigestKey()
			var d ledger.Digest
			for b.Loop() {
				key.Add(&d, user)
			}
		})
	}
}
