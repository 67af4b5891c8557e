package counter

import (
	"errors"
	"testing"
	"time"

	"plusone/hotpath/like"
)

func TestADroppedItemRefusesWhatWasReadInTheLedgerBefore(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		r := newRig(t, addr, Options{})
		shard := ShardOf("page", 4)
		r.do("page", "ann", like.Liked)
		r.book.drain(t, r.log)
		ok(t, r.log.Drop(t.Context(), shard, r.book.watermark[shard], []string{"page"}))
		loans, _, err := r.warm.lease(t.Context(), shard, []string{"page"})
		ok(t, err)
		equal(t, "leases", len(loans), 1)
		r.book.set("page", "bob", true) // a direct write, after the loader has read
		ok(t, r.log.Drop(t.Context(), shard, r.book.watermark[shard], []string{"page"}))
		states, err := r.warm.install(t.Context(), shard, loans)
		ok(t, err)
		equal(t, "what came of the old reading", states, "x")
		equal(t, "count", r.do("page", "bob", like.Liked).Count, 2)
	})
}

func TestALogRejoinsAboveTheFloorOnceItIsDrained(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		r := newRig(t, addr, Options{})
		shard := ShardOf("page", 4)
		was := r.do("page", "ann", like.Liked).Receipt.Version
		floor := like.DirectAt(time.Now().Add(time.Hour))
		if err := r.log.Drop(t.Context(), shard, was-1, []string{"page"}); !errors.Is(err, ErrPending) {
			t.Errorf("dropped what the ledger lacks: %v", err)
		}
		if _, err := r.log.Rejoin(t.Context(), shard, was-1, floor); !errors.Is(err, ErrPending) {
			t.Errorf("rejoined before the drain: %v", err)
		}
		r.checkItem("page", 1)
		end, err := r.log.Rejoin(t.Context(), shard, was, floor)
		if ok(t, err); end <= floor {
			t.Errorf("the log ends at %v, the floor is %v", end, floor)
		}
		next := r.do("page", "bob", like.Liked).Receipt.Version
		if next <= end {
			t.Errorf("the next version is %v, below %v", next, end)
		}
		// A foreign hand has brought the log above the floor: the end is above all.
		if again, err := r.log.Rejoin(t.Context(), shard, next, floor); err != nil || again <= next {
			t.Errorf("again: %v, %v", again, err)
		}
	})
}
