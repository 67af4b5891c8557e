package ledger_test

import (
	"testing"
	"time"

	"plusone/hotpath/like"
	"plusone/tasks/ledger"
)

// with is s with a participant.
func (s store) with(names ...string) store {
	s.Ledger = s.Ledger.With(names)
	return s
}

func TestAFlipBeginsASagaAndNothingElseDoes(t *testing.T) {
	s := newStore(t).with("a", "b")
	s.apply(row("i", "u", true, 1), row("i", "v", false, 1))
	s.apply(row("i", "u", true, 2))  // as it is
	s.apply(row("i", "u", false, 1)) // late
	s.apply(row("i", "u", false, 3))
	if n := s.number(`SELECT count(*) FROM sagas WHERE user_id = 'u' AND participants = '{a,b}' AND liked = (version = 1) AND version IN (1, 3)`); n != 2 {
		t.Errorf("%d sagas", n)
	}
	if n := s.number(`SELECT count(*) FROM sagas`); n != 2 {
		t.Errorf("%d sagas in all", n)
	}
	if n := s.number(`SELECT count(*) FROM sagas WHERE notification IS NOT NULL`); n != 0 {
		t.Errorf("%d are told already", n)
	}
	s.sound()
}

func TestADirectWriteBeginsTheSagaOfItsReceipt(t *testing.T) {
	s := newStore(t).with("a")
	s.goDirect(time.Minute)
	results := s.write(op("i", "u", like.Liked), op("j", "u", like.Liked), op("k", "u", like.NotLiked))
	for _, r := range results[:2] {
		found, err := s.Sagas(t.Context(), ledger.SagaFilter{User: "u", Limit: 10})
		must(t, err)
		there := false
		for _, f := range found {
			there = there || f.Receipt() == r.Receipt && f.Liked
		}
		if len(found) != 2 || !there {
			t.Errorf("%v is not among %+v", r.Receipt, found)
		}
	}
	is, err := s.ReceiptState(t.Context(), results[0].Receipt, "u")
	if must(t, err); is.State != like.Persisted {
		t.Errorf("its receipt says %s", is.State)
	}
}

func TestAClaimKeepsOthersAwayAndALateRecordChangesNothing(t *testing.T) {
	s := newStore(t).with("a")
	s.apply(row("i", "u", true, 1))
	claim := func() []ledger.ClaimedSaga {
		t.Helper()
		got, err := s.ClaimSagas(t.Context(), "a", 10, time.Hour)
		must(t, err)
		return got
	}
	first := claim()
	if len(first) != 1 || len(claim()) != 0 {
		t.Fatalf("claimed %d", len(first))
	}
	s.exec(`UPDATE sagas SET claimed_until = now()`) // its claimant has died
	second := claim()
	record := func(c ledger.ClaimedSaga, what string) ledger.Recorded {
		t.Helper()
		got, err := s.RecordTries(t.Context(), []ledger.StepResult{{Saga: c, Result: what, Reason: "no"}}, time.Hour, time.Hour)
		must(t, err)
		return got
	}
	if got := record(first[0], ledger.StepRejected); len(got) != 0 {
		t.Errorf("a late record: %v", got)
	}
	if got := record(second[0], ledger.StepDone); got[ledger.SagaDone] != 1 {
		t.Errorf("the record of the claim: %v", got)
	}
	if got := record(second[0], ledger.StepDone); len(got) != 0 {
		t.Errorf("a repeated record: %v", got)
	}
	if n := s.number(`SELECT sum(delta) FROM notifications`); n != 1 {
		t.Errorf("told of %d", n)
	}
}
