package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"plusone/hotpath/like"
	"plusone/tasks/ledger"
)

var op1 = ledger.By{Who: "op", Reason: "because"}

func (s store) freeze(frozen bool, items ...string) (direct bool) {
	s.tb.Helper()
	direct, err := s.SetFrozen(s.tb.Context(), items, bucket, frozen, op1)
	must(s.tb, err)
	return direct
}

func TestFreezesAreToldInTheirOrderEachItemsLastOne(t *testing.T) {
	s := newStore(t)
	s.freeze(true, "a", "b", "a")
	s.freeze(true, "c")
	s.freeze(true, "a")
	s.freeze(false, "b")
	var last int64
	var told []string
	for {
		page, err := s.Freezes(t.Context(), 1, 0, last, 2)
		must(t, err)
		if len(page) == 0 {
			break
		}
		for _, f := range page {
			if f.Version <= last {
				t.Errorf("version %d after %d", f.Version, last)
			}
			last = f.Version
			told = append(told, fmt.Sprint(f.Item, f.Frozen))
		}
	}
	if fmt.Sprint(told) != "[atrue ctrue bfalse]" {
		t.Errorf("told %v", told)
	}
	newest, frozen, err := s.FreezeMarks(t.Context(), 1)
	must(t, err)
	if newest[0] != last || frozen != 2 {
		t.Errorf("newest %v, %d are frozen", newest, frozen)
	}
	list, err := s.FrozenItems(t.Context(), "a", 10)
	must(t, err)
	if len(list) != 1 || list[0].Item != "c" || list[0].Reason != op1.Reason {
		t.Errorf("list: %+v", list)
	}
	f, acts, err := s.FrozenItem(t.Context(), "b")
	must(t, err)
	if f.Frozen || len(acts) != 2 || acts[0].State != "open" || acts[1].State != "frozen" || acts[1].Act != ledger.ActUnfreeze {
		t.Errorf("b: %+v %+v", f, acts)
	}
}

func TestDirectWritesHonourFrozenItemsAndLeaveRefusedPairsAlone(t *testing.T) {
	s := newStore(t)
	s.goDirect(2 * time.Second)
	s.write(op("a", "ann", like.Liked))
	if !s.freeze(true, "a") {
		t.Error("nobody says that writes go to the ledger")
	}
	got := s.write(op("a", "bob", like.Liked), op("a", "ann", like.Liked), op("a", "cy", like.Toggle), op("b", "bob", like.Liked),
		op("a", "ann", like.Toggle), op("a", "ann", like.Liked), op("a", "dan", like.NotLiked))
	for i, want := range []string{"f", "L1", "f", "+1", "-0", "f", "N0"} {
		r, is := got[i], "f"
		if !errors.Is(r.Err, like.ErrFrozen) {
			must(t, r.Err)
			letter := map[[2]bool]string{{true, true}: "+", {false, true}: "-", {true, false}: "L", {false, false}: "N"}[[2]bool{r.Liked, r.Changed}]
			is = fmt.Sprint(letter, r.Count)
		}
		if is != want {
			t.Errorf("op %d: %s, want %s: %+v", i, is, want, r)
		}
	}
	if n := s.number(`SELECT count(*) FROM likes WHERE user_id IN ('bob', 'cy') AND item_id = 'a'`); n != 0 {
		t.Errorf("%d rows of refused pairs: what waits in the log would lose against them", n)
	}
	s.freeze(false, "a")
	if r := s.write(op("a", "bob", like.Liked))[0]; r.Err != nil || r.Count != 1 {
		t.Errorf("unfrozen: %+v", r)
	}
	s.sound()
}

// Once a freeze has returned, no direct write is accepted that began before it.
func TestAFreezeWaitsForDirectWritesUnderWay(t *testing.T) {
	s := newStore(t)
	s.goDirect(2 * time.Second)
	ctx, cancel := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for c := range 3 {
		writers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				res, err := s.direct().Write(t.Context(), []like.Op{op("hot", fmt.Sprintf("u%d-%d", c, i), like.Liked)}, 0)
				if err == nil && res[0].Err != nil && !errors.Is(res[0].Err, like.ErrFrozen) {
					t.Error(res[0].Err)
				}
			}
		})
	}
	for range 10 {
		s.freeze(true, "hot")
		before := s.number(`SELECT count(*) FROM likes WHERE liked`)
		for i := range 5 { // each waits for those that were there before
			if r := s.write(op("hot", fmt.Sprint("late", i), like.Liked))[0]; !errors.Is(r.Err, like.ErrFrozen) {
				t.Errorf("a like after the freeze: %+v", r)
			}
		}
		if after := s.number(`SELECT count(*) FROM likes WHERE liked`); after != before {
			t.Errorf("%d likes after the freeze, %d before", after, before)
		}
		s.freeze(false, "hot")
	}
	cancel()
	writers.Wait()
}
