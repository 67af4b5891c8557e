package operator_test

import (
	"errors"
	"testing"

	"plusone/hotpath/like"
	"plusone/tasks/ledger"
)

// refused has the ledger refuse a user's likes, and returns their dead letters.
func (w *works) refused(user string, items ...string) map[string]ledger.DeadLetter {
	w.tb.Helper()
	w.exec(`
		CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN IF NEW.user_id = 'refused' AND NEW.liked THEN RAISE EXCEPTION 'no'; END IF; RETURN NEW; END $$`)
	w.exec(`CREATE OR REPLACE TRIGGER refuse BEFORE INSERT OR UPDATE ON likes FOR EACH ROW EXECUTE FUNCTION refuse()`)
	for _, item := range items {
		w.want(item, like.Liked, user)
	}
	w.drain()
	found, err := w.ledger.DeadLetters(w.tb.Context(), ledger.LetterFilter{State: ledger.LetterOpen, User: user, Limit: 10})
	check(w.tb, err)
	if len(found) != len(items) {
		w.tb.Fatalf("%d dead letters", len(found))
	}
	byItem := map[string]ledger.DeadLetter{}
	for _, d := range found {
		byItem[d.Item] = d
	}
	return byItem
}

func (w *works) letter(id int64) ledger.DeadLetter {
	w.tb.Helper()
	d, err := w.ledger.DeadLetter(w.tb.Context(), id)
	check(w.tb, err)
	return d
}

func (w *works) act(id int64, act string) {
	w.tb.Helper()
	check(w.tb, w.ledger.ActOnLetter(w.tb.Context(), id, act, by))
}

// settle lets an operator try a letter until it waits no longer.
func (w *works) settle(id int64) ledger.DeadLetter {
	w.tb.Helper()
	o := w.operator(1000)
	for range 100 {
		w.exec(`UPDATE dead_letters SET next_at = now() WHERE state = 'retrying'`)
		check(w.tb, o.Turn(w.tb.Context()))
		w.drain()
		if d := w.letter(id); d.State != ledger.LetterRetrying {
			return d
		}
	}
	w.tb.Fatalf("it is still tried: %+v", w.letter(id))
	return ledger.DeadLetter{}
}

func TestADeadLetterIsMadeAgainUnlessSomethingNewerHasHappened(t *testing.T) {
	t.Parallel()
	w := newWorks(t)
	all := w.refused("refused", "a", "b", "c")
	w.act(all["a"].ID, ledger.ActRetry)
	if d := w.settle(all["a"].ID); d.State != ledger.LetterRetried || d.Note == "" {
		t.Errorf("refused once more: %+v", d)
	}
	again, err := w.ledger.DeadLetters(t.Context(), ledger.LetterFilter{Item: "a", State: ledger.LetterOpen, Limit: 10})
	check(t, err)
	if len(again) != 1 {
		t.Fatalf("%d letters of the second refusal", len(again))
	}

	w.exec(`DROP TRIGGER refuse ON likes`)
	w.act(again[0].ID, ledger.ActRetry)
	if d := w.settle(again[0].ID); d.State != ledger.LetterRetried || d.Note != "" {
		t.Errorf("made again: %+v", d)
	}
	w.want("b", like.Liked, "refused")
	w.want("b", like.NotLiked, "refused")
	w.drain()
	w.act(all["b"].ID, ledger.ActRetry)
	if d := w.settle(all["b"].ID); d.State != ledger.LetterOpen || d.Note == "" {
		t.Errorf("something newer: %+v", d)
	}
	w.act(all["c"].ID, ledger.ActDrop)
	if d := w.letter(all["c"].ID); d.State != ledger.LetterDropped || len(d.Acts) != 1 || d.Acts[0].State != ledger.LetterOpen {
		t.Errorf("dropped: %+v", d)
	}
	if err := w.ledger.ActOnLetter(t.Context(), all["c"].ID, ledger.ActRetry, by); !errors.Is(err, ledger.ErrActRefused) {
		t.Errorf("one that was dropped: %v", err)
	}
	if err := w.ledger.ActOnLetter(t.Context(), 4711, ledger.ActDrop, by); !errors.Is(err, like.ErrNotFound) {
		t.Errorf("one that is not there: %v", err)
	}
	if got := w.likes(); len(got) != 1 || !got["refused a"] {
		t.Errorf("likes: %v", got)
	}
}
