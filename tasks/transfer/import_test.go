package transfer_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"plusone/hotpath/counter"
	"plusone/hotpath/like"
	"plusone/tasks/ledger"
)

// users are n names.
func users(prefix string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("%s%02d", prefix, i)
	}
	return all
}

// lines are likes of an item.
func lines(item string, users ...string) []string {
	all := make([]string, len(users))
	for i, u := range users {
		all[i] = item + "," + u + ",true"
	}
	return all
}

func TestImportedLikesAreOnBothSidesWhateverRedisHasOfTheItem(t *testing.T) {
	w := newWorks(t)
	w.want("whole", like.Liked, "x", "y")
	w.want("part", like.Liked, users("p", 12)...)
	w.drain()
	_, err := w.log.Evict(t.Context(), counter.ShardOf("part", shards), []string{"part"})
	check(t, err)
	w.want("part", like.NotLiked, "known", "p03") // loaded with its count only, knows two who do not like it
	w.want("whole", like.Liked, "late")           // waits in the log

	run, rejects := w.bring(slices.Concat(
		lines("cold", "a", "b"), lines("whole", "a", "x", "late"), lines("part", "known", "stranger", "p01", "p03"))...)
	if run.Brought != 6 || run.Kept != 3 || len(rejects) > 0 {
		t.Errorf("%+v, rejected %v", run, rejects)
	}
	got := w.likes()
	for _, pair := range []string{"cold a", "cold b", "whole a", "whole x", "whole y", "whole late", "part known", "part stranger", "part p01"} {
		if !got[pair] {
			t.Errorf("%s is not liked", pair)
		}
		delete(got, pair)
	}
	if got["part p03"] {
		t.Error("an unlike that waited in the log has lost against an import")
	}
	for _, r := range w.want("part", like.Liked, "known", "stranger") {
		if r.Changed || r.Count != 13 {
			t.Errorf("liked already: %+v", r)
		}
	}
}

func TestWhatUsersHaveDoneWinsAgainstAnImport(t *testing.T) {
	for name, between := range map[string]func(*works){
		"while it waits in the log":   func(*works) {},
		"when the ledger has it":      func(w *works) { w.drain() },
		"when Redis has forgotten it": func(w *works) { w.drain(); check(t, w.rdb.FlushAll(t.Context()).Err()) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorks(t)
			w.want("i", like.Liked, "back", "stays")
			w.want("i", like.NotLiked, "back")
			between(w)
			// A clock that is wrong, elsewhere, does not help.
			w.bringFile("item,user,liked,liked_at\ni,back,true,2999-01-01\ni,stays,false,2999-01-01\ni,new,true,2999-01-01\n", "csv")
			if got := slices.Sorted(maps.Keys(w.likes())); !slices.Equal(got, []string{"i new", "i stays"}) {
				t.Errorf("liked are %v", got)
			}
			w.want("i", like.NotLiked, "new")
			if got := slices.Sorted(maps.Keys(w.likes())); !slices.Equal(got, []string{"i stays"}) {
				t.Errorf("after an unlike of an imported like liked are %v", got)
			}
		})
	}
}

func TestImportingTwiceChangesNothing(t *testing.T) {
	w := newWorks(t)
	w.want("i", like.Liked, "own")
	all := append(lines("i", users("u", 30)...), lines("j", users("u", 3)...)...)
	first, _ := w.bring(all...)
	before, rows := w.likes(), w.rows()
	again, _ := w.bring(all...)
	if first.Brought != 33 || again.Brought != 0 || again.Kept != 33 {
		t.Errorf("first %+v, then %+v", first, again)
	}
	if !maps.Equal(before, w.likes()) || rows != w.rows() {
		t.Error("a second import has changed something")
	}
}

// rows are all rows of the ledger, as text.
func (w *works) rows() (text string) {
	check(w.tb, w.pool.QueryRow(w.tb.Context(), `SELECT string_agg(l::text, '|' ORDER BY item_id, user_id) FROM likes l`).Scan(&text))
	return text
}

func TestANewerImportWinsAgainstAnOlderOne(t *testing.T) {
	w := newWorks(t)
	w.bringFile("item,user,liked,liked_at\ni,a,true,2020-01-01\ni,b,true,2022-01-01\n", "csv")
	w.want("i", like.NotLiked, "nobody") // it is resident
	w.bringFile("item,user,liked,liked_at\ni,a,false,2021-01-01\ni,b,false,2021-01-01\n", "csv")
	if got := slices.Sorted(maps.Keys(w.likes())); !slices.Equal(got, []string{"i b"}) {
		t.Errorf("liked are %v", got)
	}
	at, err := w.ledger.Likers(t.Context(), "i", "", 10)
	check(t, err)
	if at[0].At.UTC().Format("2006-01-02") != "2022-01-01" {
		t.Errorf("the like is of %v", at[0].At)
	}
	// Of one pair that comes twice in one file the newest counts, or the last.
	w.bringFile("item,user,liked,liked_at\nj,a,false,2021-01-01\nj,a,true,2020-01-01\nj,b,false,\nj,b,true,\n", "csv")
	if got := w.likes(); got["j a"] || !got["j b"] {
		t.Errorf("liked are %v", got)
	}
}

func TestAnImportTellsNobody(t *testing.T) {
	w := newWorks(t)
	w.want("i", like.Liked, "own")
	w.drain()
	w.bring(append(lines("i", "a", "b"), lines("k", "a")...)...)
	w.likes()
	var open, delta int64
	check(t, w.pool.QueryRow(t.Context(), `SELECT count(*), sum(delta) FROM item_counts WHERE closes_at IS NOT NULL`).Scan(&open, &delta))
	if open != 1 || delta != 1 {
		t.Errorf("%d notifications are open, of %d likes; want one of the user's own", open, delta)
	}
}

func TestAFrozenItemTakesNoImportedLikes(t *testing.T) {
	w := newWorks(t)
	w.bring(lines("ice", "old")...)
	_, err := w.ledger.SetFrozen(t.Context(), []string{"ice"}, counter.Bucket, true, ledger.By{Who: "op", Reason: "a campaign"})
	check(t, err)
	run, rejects := w.bring("ice,new,true", "ice,old,false", "water,new,true")
	if run.Brought != 2 || run.Rejected != 1 || len(rejects) != 1 || rejects[0].Line != 2 || !strings.Contains(rejects[0].Reason, "frozen") {
		t.Errorf("%+v, rejected %+v", run, rejects)
	}
	if got := slices.Sorted(maps.Keys(w.likes())); !slices.Equal(got, []string{"water new"}) {
		t.Errorf("liked are %v", got)
	}
}

func TestWhatPostgresRefusesIsFoundByHalving(t *testing.T) {
	w := newWorks(t)
	_, err := w.pool.Exec(t.Context(), `ALTER TABLE likes ADD CHECK (user_id <> 'u17')`)
	check(t, err)
	run, rejects := w.bring(lines("i", users("u", 40)...)...)
	if run.Brought != 39 || len(rejects) != 1 || rejects[0].Line != 19 || !strings.HasPrefix(rejects[0].Text, "i,u17") {
		t.Errorf("%+v, rejected %+v", run, rejects)
	}
	if got := w.likes(); len(got) != 39 {
		t.Errorf("%d are liked", len(got))
	}
}
