package model

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// Stored is what the stores hold when everything has come to rest.
type Stored struct {
	Rows         map[Pair]Row            // of the ledger
	LedgerCounts map[string]int64        // of the ledger, by item
	Resident     map[string]ResidentItem // of Redis
}

// Row is a row of the ledger.
type Row struct {
	Liked   bool
	Version int64
}

// ResidentItem is what Redis holds of an item.
type ResidentItem struct {
	Count  string          // as stored
	Partly bool            // users that are missing may like it or not
	Users  map[string]bool // whether they like it
}

// likedBy tells whether Redis knows a user, and if so whether they like it.
func (r ResidentItem) likedBy(user string) (liked, known bool) {
	liked, named := r.Users[user]
	return liked, named || !r.Partly
}

// Verify compares what all clients know with what is stored: every acknowledged
// op is there, nothing else is, and each count is the number of its likers.
// version reads the version out of a receipt. Pairs must be settled.
func Verify(books []*Book, stored Stored, version func(receipt string) (int64, error)) []Wrong {
	v := verifier{stored: stored, known: map[Pair]bool{}, likers: map[string]map[string]bool{}}
	for _, b := range books {
		for _, p := range b.Pairs() {
			v.pair(p, b.pairs[p], version)
		}
	}
	v.strangers()
	v.counts()
	return v.found
}

type verifier struct {
	stored Stored
	known  map[Pair]bool
	likers map[string]map[string]bool // item → users, as acknowledged
	found  []Wrong
}

func (v *verifier) add(k Kind, p Pair, s *state, format string, args ...any) {
	w := Wrong{Kind: k, Pair: p, What: fmt.Sprintf(format, args...)}
	if s != nil {
		w.At, w.History = s.ackedAt, s.lines()
	}
	v.found = append(v.found, w)
}

func (v *verifier) pair(p Pair, s *state, version func(string) (int64, error)) {
	v.known[p] = true
	if v.likers[p.Item] == nil {
		v.likers[p.Item] = map[string]bool{}
	}
	if s.liked {
		v.likers[p.Item][p.User] = true
	}
	row := v.stored.Rows[p]
	if row.Liked != s.liked {
		v.add(KindLost, p, s, "acknowledged liked=%v, the ledger has %v", s.liked, row.Liked)
	} else if s.receipt != "" {
		if ver, err := version(s.receipt); err != nil || row.Version < ver {
			v.add(KindLost, p, s, "receipt %s, the ledger's row has version %d (%v)", s.receipt, row.Version, err)
		}
	}
	item, resident := v.stored.Resident[p.Item]
	if liked, known := item.likedBy(p.User); resident && known && liked != s.liked {
		v.add(KindLost, p, s, "acknowledged liked=%v, Redis has %v", s.liked, liked)
	}
}

// strangers finds likes that nobody has made.
func (v *verifier) strangers() {
	for _, p := range slices.SortedFunc(maps.Keys(v.stored.Rows), comparePairs) {
		if !v.known[p] && v.stored.Rows[p].Liked {
			v.add(KindWrong, p, nil, "the ledger has a like that nobody made")
		}
	}
	for _, item := range slices.Sorted(maps.Keys(v.stored.Resident)) {
		for _, user := range slices.Sorted(maps.Keys(v.stored.Resident[item].Users)) {
			if p := (Pair{item, user}); !v.known[p] && v.stored.Resident[item].Users[user] {
				v.add(KindWrong, p, nil, "Redis has a like that nobody made")
			}
		}
	}
}

func (v *verifier) counts() {
	items := maps.Clone(v.stored.LedgerCounts)
	for item := range v.likers {
		items[item] += 0 // named, also when the ledger has no count of it
	}
	for _, item := range slices.Sorted(maps.Keys(items)) {
		p, n := Pair{Item: item}, int64(len(v.likers[item]))
		if items[item] != n {
			v.add(KindWrong, p, nil, "the ledger counts %d, %d pairs are liked", items[item], n)
		}
		if r, ok := v.stored.Resident[item]; ok && r.Count != fmt.Sprint(n) {
			v.add(KindWrong, p, nil, "Redis counts %s, %d pairs are liked", r.Count, n)
		}
	}
}

func comparePairs(a, b Pair) int {
	return cmp.Or(cmp.Compare(a.Item, b.Item), cmp.Compare(a.User, b.User))
}
