package ledger_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"plusone/hotpath/like"
	"plusone/tasks/ledger"
)

// eventually waits for ok, which the system reaches on its own.
func eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	for until := time.Now().Add(10 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(until) {
			tb.Fatalf("it never came to be that %s", what)
		}
	}
}

// garden is a ledger with items of 0, 1, 7, 20 and 21 likers, tombstones between
// them, and users whose ids sort otherwise by bytes than by language.
func garden(t *testing.T) (s store, likers map[string][]string) {
	t.Helper()
	s = newStore(t)
	likers = map[string][]string{}
	var rows []ledger.Row
	for item, n := range map[string]int{"one": 1, "seven": 7, "twenty": 20, "more": 21, "Ünder": 7} {
		for u := range 2 * n {
			user := fmt.Sprintf("%c%d", []rune("aZzÄ_")[u%5], u)
			if u%2 == 0 {
				likers[item] = append(likers[item], user)
			}
			rows = append(rows, row(item, user, u%2 == 0, like.Version(len(rows)+1)<<20))
		}
		slices.Sort(likers[item])
	}
	s.apply(rows...)
	return s, likers
}

func TestLikersPageThroughWithoutGapsOrRepeats(t *testing.T) {
	s, likers := garden(t)
	for item, want := range likers {
		for _, limit := range []int{1, 2, 7, 100} {
			var got []string
			for after := ""; ; after = got[len(got)-1] {
				page, err := s.Likers(t.Context(), item, after, limit)
				must(t, err)
				for _, l := range page {
					got = append(got, l.User)
					if l.At.UnixMilli() <= 0 {
						t.Fatalf("%s liked at %v", l.User, l.At)
					}
				}
				if len(page) < limit {
					break
				}
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%s by %d: %v, want %v", item, limit, got, want)
			}
		}
	}
}

func TestLikedItemsPageThroughNewestFirst(t *testing.T) {
	s := newStore(t)
	var rows []ledger.Row
	var want []like.LikedItem
	for i := range 40 { // four items share each version
		r := row(fmt.Sprintf("i%02d", i), "u", i%5 != 0, like.Version(1+i/4))
		rows = append(rows, r, row(r.Item, "other", true, 99))
		if r.Liked {
			want = append(want, like.LikedItem{Item: r.Item, Version: r.Version})
		}
	}
	s.apply(rows...)
	slices.Reverse(want)
	for _, limit := range []int{1, 3, 4, 100} {
		var got []like.LikedItem
		for after := (like.LikedItem{}); ; after = got[len(got)-1] {
			page, err := s.LikedBy(t.Context(), "u", after, limit)
			must(t, err)
			got = append(got, page...)
			if len(page) < limit {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("by %d: %v, want %v", limit, got, want)
		}
	}
}

func TestLikersAreLoadedInPagesOfOneItem(t *testing.T) {
	s, likers := garden(t)
	s.exec(`UPDATE item_counts SET count = 0 WHERE item_id = 'more'`) // a wrong count costs time only
	items := []string{"twenty", "nobody", "one", "more", "Ünder", "seven", "none"}
	for _, page := range []int{1, 3, 7, 20, 21, 1000} {
		got := map[string][]string{}
		must(t, s.LoadLikers(t.Context(), items, page, func(item string, users []string) error {
			if len(users) == 0 || len(users) > page {
				t.Fatalf("%d users at once, page %d", len(users), page)
			}
			got[item] = append(got[item], users...)
			return nil
		}))
		if len(got) != 5 {
			t.Fatalf("by %d: %d items have likers", page, len(got))
		}
		for item, users := range got {
			slices.Sort(users)
			if !slices.Equal(users, likers[item]) {
				t.Fatalf("by %d: %s has %v, want %v", page, item, users, likers[item])
			}
		}
	}
	stop := errors.New("stop")
	calls := 0
	err := s.LoadLikers(t.Context(), items, 3, func(string, []string) error { calls++; return stop })
	if !errors.Is(err, stop) || calls != 1 {
		t.Fatalf("after an error: %d calls, %v", calls, err)
	}
}

func TestCountsKeepTheOrderAsked(t *testing.T) {
	s, likers := garden(t)
	items := []string{"seven", "nobody", "one", "seven", "more"}
	users := []string{likers["seven"][0], "nobody", "", "nobody", likers["more"][20]}
	readings, err := s.Counts(t.Context(), items, users)
	must(t, err)
	for i, r := range readings {
		if r.Item != items[i] || r.Count != int64(len(likers[items[i]])) || r.Liked != slices.Contains(likers[items[i]], users[i]) ||
			r.Source != like.FromLedger || time.Since(r.AsOf) > time.Minute {
			t.Errorf("%d: %+v", i, r)
		}
	}
	if !readings[0].Liked || !readings[4].Liked {
		t.Error("a like is not seen")
	}
	if readings, err = s.Counts(t.Context(), nil, nil); err != nil || len(readings) != 0 {
		t.Fatal(readings, err)
	}
	if _, err = s.Counts(t.Context(), items, users[:2]); err == nil {
		t.Fatal("two users for five items were accepted")
	}
}
