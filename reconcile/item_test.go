package reconcile

import (
	"errors"
	"testing"
	"time"

	"plusone/hotpath/counter"
	"plusone/hotpath/like"
	"plusone/tasks/ledger"
)

func TestOneItemIsComparedAndNoOther(t *testing.T) {
	r := newRig(t)
	r.like("a", 5)
	r.like("b", 5)
	r.drain()
	for _, item := range []string{"a", "b"} {
		ok(t, r.rdb.SRem(t.Context(), likers(item), "u1").Err())
		r.exec(`UPDATE item_counts SET count = 9 WHERE item_id = $1`, item)
	}
	by := ledger.By{Who: "op", Reason: "somebody complained"}
	report, err := r.reconciler(Options{}).Item(t.Context(), "a", by)
	ok(t, err)
	if len(report.Drifts) != 2 || report.Drifts[0].Cause != CauseLedgerCount || report.Drifts[1].Cause != CauseSetLost {
		t.Errorf("%+v", report.Drifts)
	}
	for item, want := range map[string]bool{"a": true, "b": false} {
		if has := r.rdb.SIsMember(t.Context(), likers(item), "u1").Val(); has != want {
			t.Errorf("%s: u1 is in the set: %v", item, has)
		}
		repairs, err := r.ledger.Repairs(t.Context(), ledger.RepairFilter{Item: item, Limit: 9})
		ok(t, err)
		if (len(repairs) == 2) != want {
			t.Errorf("%s: %+v", item, repairs)
		}
	}
	_, acts, err := r.ledger.FrozenItem(t.Context(), "a")
	ok(t, err)
	if len(acts) != 1 || acts[0].Act != ledger.ActReconcile || acts[0].Reason != by.Reason || acts[0].State != "open" {
		t.Errorf("%+v", acts)
	}
	if report, err = r.reconciler(Options{}).Item(t.Context(), "a", by); err != nil || len(report.Drifts) != 0 {
		t.Errorf("again: %+v %v", report.Drifts, err)
	}
}

func TestAnItemWhoseShardIsTakenIsNotCompared(t *testing.T) {
	r := newRig(t)
	r.like("a", 1)
	r.drain()
	turn, err := r.ledger.Turn(t.Context())
	ok(t, err)
	defer turn.Close(t.Context())
	if taken, err := turn.Take(t.Context(), counter.ShardOf("a", shards)); !taken || err != nil {
		t.Fatal(taken, err)
	}
	rec := r.reconciler(Options{Settle: 50 * time.Millisecond})
	if _, err := rec.Item(t.Context(), "a", ledger.By{}); !errors.Is(err, ErrTaken) {
		t.Error(err)
	}
	if _, err := rec.Item(t.Context(), "a b", ledger.By{}); !errors.Is(err, like.ErrBadID) {
		t.Error(err)
	}
}
