package main

import (
	"testing"

	"plusone/cmd/chaos/house"
	"plusone/cmd/chaos/load"
	"plusone/cmd/chaos/model"
)

func TestTheBooksOfTheQuotaAreHeldAgainstTheLikes(t *testing.T) {
	for name, c := range map[string]struct {
		like        load.GreedyLike
		liked, calm bool
		want        tallied
		right       bool
	}{
		"acknowledged":                     {load.GreedyLike{Liked: true}, true, true, tallied{liked: 1, sure: 1}, true},
		"acknowledged and lost":            {load.GreedyLike{Liked: true}, false, true, tallied{sure: 1}, false},
		"while a fault was on":             {load.GreedyLike{Liked: true}, true, false, tallied{liked: 1}, true},
		"without an answer before":         {load.GreedyLike{Liked: true, Doubt: true}, true, true, tallied{liked: 1}, true},
		"written to the ledger":            {load.GreedyLike{Liked: true, Ledger: true}, true, true, tallied{liked: 1}, true},
		"refused":                          {load.GreedyLike{Refused: true}, false, true, tallied{refused: 1}, true},
		"refused, and there all the same":  {load.GreedyLike{Refused: true}, true, true, tallied{liked: 1, refused: 1}, false},
		"refused after one without answer": {load.GreedyLike{Refused: true, Doubt: true}, true, true, tallied{liked: 1, refused: 1}, true},
	} {
		var got tallied
		got.add(&c.like, c.liked, c.calm)
		if got.liked != c.want.liked || got.sure != c.want.sure || got.refused != c.want.refused || (len(got.wrong) == 0) != c.right {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestWhoHasUsedMoreThanThereIsIsFound(t *testing.T) {
	if wrong := overspent(map[string]int{"ann": house.Quota, "bob": 0}); len(wrong) > 0 {
		t.Error(wrong)
	}
	if wrong := overspent(map[string]int{"ann": house.Quota + 1}); len(wrong) != 1 || wrong[0].Kind != model.KindWrong {
		t.Error(wrong)
	}
}
