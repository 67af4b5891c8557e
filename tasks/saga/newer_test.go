package saga_test

import (
	"context"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"plusone/hotpath/counter"
	"plusone/hotpath/like"
	"plusone/tasks/ledger"
	"plusone/tasks/saga"
)

// rejected returns works with a like that is rejected, and still in both stores.
func rejected(t *testing.T) *works {
	t.Helper()
	w := newWorks(t, "a")
	w.asked[0].set(mood{reject: rejectAll})
	w.want(t, "page", "ann", like.Liked)
	w.drain(t)
	_, err := w.engine.Turn(t.Context(), "a")
	check(t, err)
	w.asked[0].set(mood{})
	return w
}

func TestALikeThatWasRepeatedInTheLogIsNotTakenBack(t *testing.T) {
	t.Parallel()
	w := rejected(t)
	w.want(t, "page", "ann", like.NotLiked)
	w.want(t, "page", "ann", like.Liked)
	w.settle(t, w.engine)
	if got := w.states(t, "page", "ann"); got != "+compensated +done" {
		t.Error(got)
	}
	w.agree(t, "page")
}

// meanwhile is a log in which something happens before it is changed.
type meanwhile struct {
	*counter.Log
	do func()
}

func (m *meanwhile) Retract(ctx context.Context, shard int, ch like.Change, after like.Version, mark string) (counter.Retracted, error) {
	if m.do != nil {
		m.do()
		m.do = nil
	}
	return m.Log.Retract(ctx, shard, ch, after, mark)
}

// A drain that trims what names the pair, between the look at the ledger and that
// at the log, would hide it.
func TestNoDrainGetsPastAPairThatIsBeingTakenBack(t *testing.T) {
	t.Parallel()
	w := rejected(t)
	log := &meanwhile{Log: w.log, do: func() {
		w.want(t, "page", "ann", like.NotLiked)
		w.want(t, "page", "ann", like.Liked)
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		if err := w.drainer.Drain(ctx, counter.ShardOf("page", shards)); err == nil {
			t.Error("the drain did not wait")
		}
	}}
	e, err := saga.New(w.ledger, log, w.Counter, func(...int) {}, prometheus.NewRegistry(), w.config())
	check(t, err)
	t.Cleanup(e.Close)
	_, err = e.Turn(t.Context(), "")
	check(t, err)
	w.settle(t, e)
	if got := w.states(t, "page", "ann"); got != "+compensated +done" {
		t.Error(got)
	}
	w.agree(t, "page")
}

// The unlike would have asked nobody, since participants have given the like back;
// taken back by hand it leaves a like that they have to be asked for.
func TestAnUnlikeThatIsCompensatedByHandBringsALikeThatAllAreAskedFor(t *testing.T) {
	t.Parallel()
	w := rejected(t)
	w.want(t, "page", "ann", like.NotLiked)
	w.drain(t)
	waiting, err := w.ledger.Sagas(t.Context(), ledger.SagaFilter{State: ledger.SagaPending, Limit: 10})
	check(t, err)
	check(t, w.ledger.ActOnSaga(t.Context(), waiting[0].ID, ledger.ActCompensate, ledger.By{Who: "op", Reason: "she did not mean it"}))
	w.settle(t, w.engine)
	if got := w.states(t, "page", "ann"); got != "+compensated -compensated +done" {
		t.Error(got)
	}
	if got := w.agree(t, "page")["page"]; len(got) != 1 {
		t.Errorf("likers: %v", got)
	}
}

// The janitor may make an item cold between any two turns, so that one turn must do.
func TestALikeOfAnItemThatRedisLacksIsTakenBackInOneTurn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		large int
	}{{"resident wholly", 1000}, {"resident partly", 10}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorksOf(t, counter.Options{ResidentSetMax: c.large}, "a")
			for _, user := range users(30) {
				w.want(t, "page", user, like.Liked)
			}
			w.drain(t)
			w.settle(t, w.engine)
			w.asked[0].set(mood{reject: rejectAll})
			w.want(t, "page", "ann", like.Liked)
			w.drain(t)
			_, err := w.engine.Turn(t.Context(), "a")
			check(t, err)
			shard := counter.ShardOf("page", shards)
			if n, err := w.log.Evict(t.Context(), shard, []string{"page"}); err != nil || n != 1 {
				t.Fatalf("%d evicted: %v", n, err)
			}
			if _, err := w.engine.Turn(t.Context(), ""); err != nil {
				t.Fatal(err)
			}
			if w.entries(t) != 1 {
				t.Fatalf("nothing was taken back: %q", w.sagas(t))
			}
			w.settle(t, w.engine)
			if got := w.states(t, "page", "ann"); got != "+compensated -done" {
				t.Error(got)
			}
		})
	}
}
