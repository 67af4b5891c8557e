package main

import (
	"testing"

	"plusone/cmd/chaos/load"
	"plusone/cmd/chaos/model"
)

func stored(count int64, redis string, liked ...model.Pair) model.Stored {
	s := model.Stored{
		Rows: map[model.Pair]model.Row{{Item: "other", User: "u"}: {Liked: true}}, LedgerCounts: map[string]int64{"judged-1": count, "other": 1},
		Resident: map[string]model.ResidentItem{"judged-1": {Count: redis}, "other": {Count: "1"}},
	}
	for _, p := range liked {
		s.Rows[p] = model.Row{Liked: true}
	}
	return s
}

func TestWhatIsMisjudgedIsFound(t *testing.T) {
	good, bad := model.Pair{Item: "judged-1", User: "a"}, model.Pair{Item: "judged-1", User: "suspect-b"}
	judged := []*load.Judged{{Pair: good}, {Pair: bad, Suspect: true}}
	for name, c := range map[string]struct {
		stored model.Stored
		right  bool
	}{
		"all as it should be":      {stored(1, "1", good), true},
		"the rejected one stayed":  {stored(1, "1", good, bad), false},
		"the agreed one is gone":   {stored(1, "1"), false},
		"the ledger counts it all": {stored(2, "1", good), false},
		"Redis counts it all":      {stored(1, "2", good), false},
	} {
		taken := c.stored.Take(load.JudgedPrefix)
		if wrong, rejected := misjudged(taken, judged); (len(wrong) == 0) != c.right || rejected != 1 {
			t.Errorf("%s: %v, %d rejected", name, wrong, rejected)
		}
		if len(c.stored.Rows) != 1 || len(c.stored.LedgerCounts) != 1 || len(c.stored.Resident) != 1 {
			t.Errorf("%s: what is left is %+v", name, c.stored)
		}
	}
}
