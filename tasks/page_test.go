package tasks

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"plusone/hotpath/counter"
	"plusone/hotpath/like"
	"plusone/tasks/ledger"
)

// logged is a log of entries with changes of 64 pairs each, of a few items that
// are liked again and again.
func logged(entries, users int) []counter.Entry {
	r := rand.New(rand.NewPCG(3, 4))
	all := make([]counter.Entry, entries)
	for i := range all {
		v := like.Version(1 + i)
		all[i].Version = v
		for range 64 {
			all[i].Changes = append(all[i].Changes, like.Change{
				Item: fmt.Sprintf("/page/%d", r.IntN(60)), User: fmt.Sprintf("u%07d", r.IntN(users)),
				Liked: r.IntN(2) == 0, Version: v,
			})
		}
	}
	return all
}

func TestAFoldKeepsTheLastStateOfEachPairInOrder(t *testing.T) {
	entries := logged(64, 20) // the same pair several times, also within one entry
	for i := range entries {
		entries[i].Changes = append(entries[i].Changes, like.Change{
			Item: fmt.Sprintf("/page/%d", i%7), User: like.VoteUser(fmt.Sprint("u000000", i%3)),
			Liked: i%2 == 0, Weight: int32(i % 3), Version: entries[i].Version,
		})
	}
	type pair struct{ item, user string }
	last := map[pair]like.Change{}
	for _, e := range entries {
		for _, ch := range e.Changes {
			last[pair{ch.Item, ch.User}] = ch
		}
	}
	rows, votes := fold(entries)
	if len(rows)+len(votes) != len(last) {
		t.Fatalf("%d rows and %d votes of %d pairs", len(rows), len(votes), len(last))
	}
	if !slices.IsSortedFunc(rows, ledger.Row.Compare) {
		t.Fatal("the rows are not in order")
	}
	for _, r := range rows {
		ch := last[pair{r.Item, r.User}]
		if r.Liked != ch.Liked || r.Version != ch.Version || r.Bucket != counter.Bucket(r.Item) {
			t.Fatalf("%+v, the last change was %+v", r, ch)
		}
	}
	if len(votes) == 0 || !slices.IsSortedFunc(votes, ledger.VoteRow.Compare) {
		t.Fatalf("%d votes, or they are not in order", len(votes))
	}
	for _, v := range votes {
		ch := last[pair{v.Item, like.VoteUser(v.Ref)}]
		if v.State != ch.State() || v.Bucket != counter.Bucket(v.Item) {
			t.Fatalf("%+v, the last change was %+v", v, ch)
		}
	}
}

func BenchmarkFold(b *testing.B) {
	entries := logged(64, 5_000_000)
	b.ReportAllocs()
	for b.Loop() {
		fold(entries)
	}
}
