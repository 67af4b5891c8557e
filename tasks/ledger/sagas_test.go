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

func TestALateRecordOfACompensationChangesNothing(t *testing.T) {
	s := newStore(t).with("a", "b")
	s.apply(row("i", "u", true, 1))
	claim := func(who string) ledger.StepResult {
		t.Helper()
		got, err := s.ClaimSagas(t.Context(), who, 10, time.Hour)
		must(t, err)
		if len(got) != 1 {
			t.Fatalf("%d steps wait for %s", len(got), who)
		}
		return ledger.StepResult{Saga: got[0], Result: ledger.StepDone}
	}
	try := func(r ledger.StepResult) {
		t.Helper()
		_, err := s.RecordTries(t.Context(), []ledger.StepResult{r}, time.Hour, time.Hour)
		must(t, err)
	}
	try(claim("a"))
	rejected := claim("b")
	rejected.Result = ledger.StepRejected
	try(rejected)
	late := claim("a")
	s.exec(`UPDATE sagas SET claimed_until = now()`) // its claimant has died
	in := claim("a")
	record := func(r ledger.StepResult, most int) int {
		t.Helper()
		got, err := s.RecordCompensations(t.Context(), []ledger.StepResult{r}, most)
		must(t, err)
		return len(got)
	}
	failed := late
	failed.Result = ledger.StepRetry
	if record(failed, 1)+record(late, 1) > 0 {
		t.Error("a late record counts")
	}
	if record(in, 10) != 1 || record(in, 10) != 0 {
		t.Error("a record does not count once")
	}
	if n := s.number(`SELECT step FROM sagas WHERE state = 'compensating'`); n != 0 {
		t.Errorf("%d have still to give it back", n)
	}
}
