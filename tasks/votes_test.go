package tasks_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"plusone/hotpath/like"
	"plusone/tasks"
	"plusone/tasks/ledger"
)

func TestBadVotesAreTakenBack(t *testing.T) {
	w := newWorks(t)
	w.exec(`ALTER TABLE votes ADD CHECK (ref <> 'bad')`)
	item := itemIn(2)
	w.want(item, like.Liked, "ann")
	var bad like.Voted
	for i := range 30 {
		ref := fmt.Sprint("ref", i)
		if i == 17 {
			ref = "bad"
		}
		v := w.Vote(t.Context(), like.VoteOp{Item: item, Ref: ref, Want: like.CountVote, Weight: 10})
		check(t, v.Err)
		if i == 17 {
			bad = v
		}
	}
	w.drainAll()
	if n := w.number(`SELECT count FROM item_counts WHERE votes = 290 AND count = 291`); n != 291 {
		t.Errorf("the ledger counts %d", n)
	}
	if n := w.number(`SELECT count(*) FROM dead_letters WHERE user_id = '%bad' AND undone AND liked`); n != 1 {
		t.Errorf("%d dead letters", n)
	}
	if s := w.state(bad.Receipt, ""); s != like.Compensated {
		t.Errorf("its receipt says %s", s)
	}
	if v := w.Vote(t.Context(), like.VoteOp{Item: item, Ref: "ref1", Want: like.RefundVote}); v.Err != nil || v.Count != 281 {
		t.Errorf("after that: %+v", v)
	}
	if v := w.Vote(t.Context(), like.VoteOp{Item: item, Ref: "bad", Want: like.CountVote, Weight: 10}); v.Err != nil || v.Count != 291 {
		t.Errorf("asking again: %+v", v)
	}
}

// A drain that died anywhere is done again, wholly.
func TestVotesOfADrainThatWasCutOffCountOnce(t *testing.T) {
	w := newWorks(t)
	item := itemIn(1)
	vote := func(ref string, want like.VoteWant) {
		t.Helper()
		check(t, w.Vote(t.Context(), like.VoteOp{Item: item, Ref: ref, Want: want, Weight: 5}).Err)
	}
	vote("a", like.CountVote)
	vote("b", like.CountVote)
	vote("b", like.RefundVote)
	entries, err := w.log.Read(t.Context(), 1, 0, 100)
	check(t, err)
	w.drainAll()
	for _, e := range entries { // out of order, behind the drain
		b, err := w.ledger.Begin(t.Context(), 1)
		check(t, err)
		for _, ch := range e.Changes {
			ref, _ := ch.Vote()
			applied, err := b.ApplyVotes(t.Context(), []ledger.VoteRow{{Item: item, Ref: ref, State: ch.State()}})
			check(t, err)
			if applied.Rows != 0 {
				t.Errorf("%+v was applied again", ch)
			}
		}
		check(t, b.Commit(t.Context()))
	}
	if n := w.number(`SELECT count FROM item_counts WHERE count = votes`); n != 5 {
		t.Errorf("the ledger counts %d", n)
	}
}

// Participants have no say in votes; receivers are told of them all the same.
func TestVotesAreToldWithTheirWeightAndAskNobody(t *testing.T) {
	for name, participants := range map[string][]string{"alone": nil, "with participants": {"fraud"}} {
		t.Run(name, func(t *testing.T) {
			w := newWorks(t)
			drainer := tasks.NewDrainer(w.log, w.ledger.With(participants), time.Hour, prometheus.NewRegistry())
			item := itemIn(0)
			for i := range 3 {
				check(t, w.Vote(t.Context(), like.VoteOp{Item: item, Ref: fmt.Sprint(i), Want: like.CountVote, Weight: 100}).Err)
			}
			check(t, drainer.Drain(t.Context(), 0))
			check(t, w.Vote(t.Context(), like.VoteOp{Item: item, Ref: "1", Want: like.RefundVote}).Err)
			check(t, drainer.Drain(t.Context(), 0))
			if n := w.number(`SELECT delta FROM item_counts WHERE closes_at IS NOT NULL`); n != 200 {
				t.Errorf("the open window tells %d", n)
			}
			if n := w.number(`SELECT count(*) FROM sagas`); n != 0 {
				t.Errorf("%d sagas", n)
			}
		})
	}
}
