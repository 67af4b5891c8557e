package operator_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"plusone/hotpath/counter"
	"plusone/hotpath/like"
	"plusone/tasks"
	"plusone/tasks/ledger"
	"plusone/tasks/operator"
)

// fraud is bad users among good ones: items that are resident wholly, partly and
// not at all, and likes that are not drained yet.
func (w *works) fraud() (bad, items []string) {
	w.tb.Helper()
	bad, items = names("bad", 6), names("item", 70)
	for i, item := range items {
		w.want(item, like.Liked, bad...)
		w.want(item, like.Liked, names("good", i%12)...) // from 3 on the set is too large to be loaded wholly
	}
	w.drain()
	for i, item := range items {
		if i%2 == 0 {
			_, err := w.log.Evict(w.tb.Context(), counter.ShardOf(item, shards), []string{item})
			check(w.tb, err)
		}
	}
	w.want("late", like.Liked, bad...)
	return bad, append(items, "late")
}

func of(likes map[string]bool, prefix string) map[string]bool {
	some := maps.Clone(likes)
	maps.DeleteFunc(some, func(pair string, _ bool) bool { return !strings.HasPrefix(pair, prefix) })
	return some
}

func TestARevocationTakesAllLikesOfItsUsersAndAnUndoReturnsThese(t *testing.T) {
	t.Parallel()
	w := newWorks(t)
	bad, items := w.fraud()
	look, err := w.ledger.LookAtRevocation(t.Context(), bad, nil)
	check(t, err)
	if look.Users != 6 || look.Likes != 6*70 || look.Items != 70 || len(look.Top) != 10 || look.Top[0].Likes != 6 {
		t.Errorf("a look finds %+v", look)
	}
	before := w.likes()
	id, err := w.ledger.Revoke(t.Context(), append(bad, "nobody"), nil, by)
	check(t, err)
	o := w.operator(1 << 20)
	r := w.turns(o, id)
	if r.State != ledger.RevocationDone || r.Taken != int64(6*len(items)) || r.Users != 7 || r.LastError != "" {
		t.Errorf("done: %+v", r)
	}
	after := w.likes()
	if n := len(of(after, "bad")); n > 0 {
		t.Errorf("%d likes are left", n)
	}
	if !maps.Equal(of(after, "good"), of(before, "good")) {
		t.Error("likes of others have changed")
	}
	marks, err := w.log.Marks(t.Context())
	check(t, err)
	if len(marks) > 0 {
		t.Errorf("%d marks stay", len(marks))
	}

	// What is newer stands: one likes again, one likes again and thinks better of it.
	w.want(items[0], like.Liked, bad[0])
	w.want(items[1], like.Liked, bad[1])
	w.want(items[1], like.NotLiked, bad[1])
	w.drain()
	w.want(items[2], like.Liked, bad[2]) // not drained when the undo begins
	w.want(items[2], like.NotLiked, bad[2])
	_, err = w.ledger.SetFrozen(t.Context(), items[3:4], counter.Bucket, true, by)
	check(t, err)
	check(t, w.log.BringFreezes(t.Context(), w.ledger, counter.ShardOf(items[3], shards)))
	check(t, w.ledger.UndoRevocation(t.Context(), id, ledger.By{Who: "op", Reason: "wrong list"}))
	r = w.turns(o, id)
	if r.State != ledger.RevocationUndone || r.Returned != r.Taken-3 || r.Kept != 3 {
		t.Errorf("undone: %+v", r)
	}
	want := before
	delete(want, bad[1]+" "+items[1])
	delete(want, bad[2]+" "+items[2])
	if got := w.likes(); !maps.Equal(got, want) {
		t.Errorf("%d likes instead of %d", len(got), len(want))
	}
	if err := w.ledger.UndoRevocation(t.Context(), id, by); !errors.Is(err, ledger.ErrActRefused) {
		t.Errorf("a second undo: %v", err)
	}
	acts := r.Acts
	if len(acts) != 2 || acts[1].Act != ledger.ActUndo || acts[1].Reason != "wrong list" || acts[1].State != ledger.RevocationDone {
		t.Errorf("acts: %+v", acts)
	}
}

func TestARevocationOfSomeItemsLeavesOthersAlone(t *testing.T) {
	t.Parallel()
	w := newWorks(t)
	w.want("a", like.Liked, "bad", "good")
	w.want("b", like.Liked, "bad")
	id, err := w.ledger.Revoke(t.Context(), []string{"bad"}, []string{"a", "c"}, by)
	check(t, err)
	w.turns(w.operator(1<<20), id)
	if got := fmt.Sprint(w.likes()); got != "map[bad b:true good a:true]" {
		t.Error(got)
	}
}

// crash makes a page of a revocation as a worker does that dies before its commit.
func (w *works) crash(id string, undo bool) {
	w.tb.Helper()
	ctx := w.tb.Context()
	r, err := w.ledger.ClaimRevocation(ctx, "dead", time.Minute)
	check(w.tb, err)
	page, _, _, err := w.ledger.RevokePage(ctx, r, 50)
	check(w.tb, err)
	of := make([]int, len(page))
	for i, p := range page {
		of[i] = counter.ShardOf(p.Item, shards)
		_, err := w.Read(ctx, []string{p.Item}, p.User) // so that it is there
		check(w.tb, err)
	}
	died, moved := errors.New("died"), 0
	_, _, err = w.ledger.MoveRevoked(ctx, r, "dead", page, of, func(ctx context.Context, rs []ledger.SagaReturn) ([]ledger.Moved, error) {
		owner := id + " taken"
		if undo {
			owner = id + " returned"
		}
		for _, s := range rs {
			states, _, err := w.log.RetractAll(ctx, []counter.Retraction{{
				Shard: counter.ShardOf(s.Saga.Item, shards), After: s.After,
				Change: like.Change{Item: s.Saga.Item, User: s.Saga.User, Liked: s.Saga.Liked},
			}}, owner)
			check(w.tb, err)
			if states[0] == counter.RetractDone {
				moved++
			}
		}
		return nil, died
	})
	if !errors.Is(err, died) || moved < 20 {
		w.tb.Fatalf("%d moved: %v", moved, err)
	}
	w.exec(`UPDATE revocations SET claimed_until = now()`) // its lease ends
}

func TestAWorkerThatDiesBetweenRedisAndTheRecordLosesNothing(t *testing.T) {
	t.Parallel()
	w := newWorks(t)
	bad, _ := w.fraud()
	before := w.likes()
	id, err := w.ledger.Revoke(t.Context(), bad, nil, by)
	check(t, err)
	w.crash(id, false)
	r := w.turns(w.operator(1<<20), id)
	if r.Taken != int64(len(of(before, "bad"))) || len(of(w.likes(), "bad")) > 0 {
		t.Errorf("after a crash: %+v", r)
	}
	check(t, w.ledger.UndoRevocation(t.Context(), id, by))
	w.crash(id, true)
	r = w.turns(w.operator(1<<20), id)
	if r.Returned != r.Taken || r.Kept != 0 {
		t.Errorf("undone after a crash: %+v", r)
	}
	if got := w.likes(); !maps.Equal(got, before) {
		t.Errorf("%d likes instead of %d", len(got), len(before))
	}
}

func TestARevocationIsOneWorkersUntilItsLeaseEnds(t *testing.T) {
	t.Parallel()
	w := newWorks(t)
	_, err := w.ledger.Revoke(t.Context(), []string{"bad"}, nil, by)
	check(t, err)
	r, err := w.ledger.ClaimRevocation(t.Context(), "first", time.Minute)
	check(t, err)
	if _, err := w.ledger.ClaimRevocation(t.Context(), "second", time.Minute); !errors.Is(err, like.ErrNotFound) {
		t.Errorf("claimed twice: %v", err)
	}
	w.exec(`UPDATE revocations SET claimed_until = now()`)
	_, err = w.ledger.ClaimRevocation(t.Context(), "second", time.Minute)
	check(t, err)
	if err := w.ledger.EndRevocation(t.Context(), r, "first", ""); !errors.Is(err, ledger.ErrNotClaimed) {
		t.Errorf("ended by who has lost it: %v", err)
	}
}

// What a worker that died has left to be recorded must not bring a user back who was
// erased meanwhile, nor what another one has read before.
func TestARecordThatIsMadeUpForLeavesErasedUsersOut(t *testing.T) {
	t.Parallel()
	w := newWorks(t)
	bad, _ := w.fraud()
	id, err := w.ledger.Revoke(t.Context(), bad, nil, by)
	check(t, err)
	w.crash(id, false)
	erased := bad[0]
	var taken []ledger.Revoked
	marks, err := w.log.Marks(t.Context())
	check(t, err)
	for _, m := range marks {
		if m.User == erased {
			taken = append(taken, ledger.Revoked{Item: m.Item, User: m.User, Version: m.ID})
		}
	}
	if len(taken) == 0 {
		t.Fatalf("the dead worker has left nothing of %s", erased)
	}
	eraser := tasks.Eraser{Likes: w, Log: w.log, Ledger: w.ledger, Wait: 10 * time.Second, Ring: w.ring}
	_, err = eraser.Erase(t.Context(), erased)
	check(t, err)
	marks, err = w.log.Marks(t.Context())
	check(t, err)
	for _, m := range marks {
		if m.User == erased {
			t.Errorf("a mark has stayed: %+v", m)
		}
	}
	check(t, w.ledger.NoteMarks(t.Context(), id, taken, nil))
	r := w.turns(w.operator(1<<20), id)
	found, err := w.ledger.UserRows(t.Context(), erased)
	check(t, err)
	if found.Len() > 0 {
		t.Errorf("the ledger has %+v", found)
	}
	if n := len(of(w.likes(), "bad")); n > 0 || r.State != ledger.RevocationDone {
		t.Errorf("%d likes are left: %+v", n, r)
	}
}

// One worker ends in the middle, another goes on; meanwhile all users like and unlike.
func TestARevocationGoesOnUnderLoadAndWithAnotherWorker(t *testing.T) {
	t.Parallel()
	w := newWorks(t)
	bad, items := w.fraud()
	w.drain()
	id, err := w.ledger.Revoke(t.Context(), bad, nil, by)
	check(t, err)
	load, calm := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for c := range 3 {
		all.Go(func() {
			for i := 0; load.Err() == nil; i++ {
				w.want(items[(7*i+c)%len(items)], like.Want(i%2), fmt.Sprintf("live%d", i%9))
			}
		})
	}
	all.Go(func() {
		for s := 0; load.Err() == nil; s = (s + 1) % shards {
			w.ring(s)
		}
	})
	some, stop := context.WithTimeout(t.Context(), 300*time.Millisecond)
	_ = w.operator(500).Turn(some) // it is told to end
	stop()
	var two sync.WaitGroup
	for range 2 {
		two.Go(func() {
			for r := (ledger.Revocation{}); r.EndedAt == nil; {
				check(t, w.operator(1<<20).Turn(t.Context()))
				var err error
				r, err = w.ledger.Revocation(t.Context(), id)
				check(t, err)
			}
		})
	}
	two.Wait()
	calm()
	all.Wait()
	r, err := w.ledger.Revocation(t.Context(), id)
	check(t, err)
	if n := len(of(w.likes(), "bad")); n > 0 || r.Taken != int64(6*len(items)) {
		t.Errorf("%d likes are left: %+v", n, r)
	}
}

func TestAnUndoStopsARevocationThatRuns(t *testing.T) {
	t.Parallel()
	w := newWorks(t)
	bad, _ := w.fraud()
	before := w.likes()
	id, err := w.ledger.Revoke(t.Context(), bad, nil, by)
	check(t, err)
	some, stop := context.WithTimeout(t.Context(), 400*time.Millisecond)
	defer stop()
	_ = w.operator(300).Turn(some)
	check(t, w.ledger.UndoRevocation(t.Context(), id, by))
	r := w.turns(w.operator(1<<20), id)
	if r.State != ledger.RevocationUndone || r.Returned != r.Taken || !maps.Equal(w.likes(), before) {
		t.Errorf("undone in the middle: %+v", r)
	}
}

func TestARevocationOfAUserWhoGoesOnLikingEndsAndSaysSo(t *testing.T) {
	t.Parallel()
	w := newWorks(t)
	w.want("a", like.Liked, "bad")
	id, err := w.ledger.Revoke(t.Context(), []string{"bad"}, nil, by)
	check(t, err)
	o := operator.New(w.ledger, w.log, w, func(which ...int) {
		w.ring(which...)
		w.want("a", like.Liked, "bad")
		w.ring(which...)
	}, operator.Config{Rate: 1 << 20, Keep: time.Hour})
	r := w.turns(o, id)
	if r.State != ledger.RevocationDone || !strings.Contains(r.LastError, "go on liking") {
		t.Errorf("%+v", r)
	}
}

func TestRevocationsAreForgottenInTheirTime(t *testing.T) {
	t.Parallel()
	w := newWorks(t)
	w.want("a", like.Liked, "bad")
	id, err := w.ledger.Revoke(t.Context(), []string{"bad"}, nil, by)
	check(t, err)
	w.turns(w.operator(1<<20), id)
	check(t, w.ledger.PruneRevocations(t.Context(), time.Hour))
	if _, err := w.ledger.Revocation(t.Context(), id); err != nil {
		t.Error(err)
	}
	check(t, w.ledger.PruneRevocations(t.Context(), -time.Hour))
	if _, err := w.ledger.Revocation(t.Context(), id); !errors.Is(err, like.ErrNotFound) {
		t.Error(err)
	}
}

// BenchmarkRevoke tells how many likes a second go, of 100 users with 200 likes each,
// and come back.
func BenchmarkRevoke(b *testing.B) {
	w := newWorks(b)
	users, items := names("bad", 100), names("item", 200)
	for _, item := range items {
		w.want(item, like.Liked, users...)
	}
	w.drain()
	o := w.operator(1 << 30)
	for b.Loop() {
		start := time.Now()
		id, err := w.ledger.Revoke(b.Context(), users, nil, by)
		check(b, err)
		r := w.turns(o, id)
		b.ReportMetric(float64(r.Taken)/time.Since(start).Seconds(), "taken/s")
		start = time.Now()
		check(b, w.ledger.UndoRevocation(b.Context(), id, by))
		r = w.turns(o, id)
		b.ReportMetric(float64(r.Returned)/time.Since(start).Seconds(), "returned/s")
	}
}
