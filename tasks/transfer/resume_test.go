package transfer_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"plusone/hotpath/counter"
	"plusone/hotpath/like"
	"plusone/tasks/ledger"
	"plusone/tasks/transfer"
)

// fromFile is a source of likes of many items.
func fromFile(tb testing.TB, n int) transfer.Source {
	tb.Helper()
	text := new(strings.Builder)
	text.WriteString("item,user\n")
	for i := range n {
		_, _ = fmt.Fprintf(text, "i%d,u%d\n", i%97, i)
	}
	src, err := transfer.OpenFile(bufio.NewReader(strings.NewReader(text.String())), transfer.CSV, transfer.Mapping{})
	check(tb, err)
	return src
}

func noRejects([]*transfer.Reject) (int64, error) { return 0, errors.New("nothing is to be rejected") }

func TestAnImportThatWasCutOffGoesOnWhereItWas(t *testing.T) {
	w := newWorks(t)
	const n = 150_000 // three chunks
	turn, run, err := w.ledger.TakeImport(t.Context(), "s", "likes.csv", false)
	check(t, err)
	if _, _, err := w.ledger.TakeImport(t.Context(), "s", "likes.csv", false); !errors.Is(err, ledger.ErrLocked) {
		t.Errorf("two at one source: %v", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	_, err = w.importer.Run(ctx, fromFile(t, n), run, noRejects, func(r ledger.ImportRun) error {
		stop()
		return turn.Note(t.Context(), r, false)
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("it was stopped, and says %v", err)
	}
	turn.Close(t.Context())

	turn, run, err = w.ledger.TakeImport(t.Context(), "s", "likes.csv", false)
	check(t, err)
	if run.Records == 0 || run.Records == n || run.Brought != run.Records {
		t.Fatalf("it would go on with %+v", run)
	}
	run, err = w.importer.Run(t.Context(), fromFile(t, n), run, noRejects, func(ledger.ImportRun) error { return nil })
	check(t, err)
	check(t, turn.Note(t.Context(), run, true))
	turn.Close(t.Context())
	if run.Records != n || run.Brought != n || len(w.likes()) != n {
		t.Errorf("at the end: %+v", run)
	}
	turn, run, err = w.ledger.TakeImport(t.Context(), "s", "likes.csv", false)
	check(t, err)
	turn.Close(t.Context())
	if run.Records != 0 {
		t.Errorf("behind its end it begins anew, not with %+v", run)
	}
	if _, err := w.importer.Run(t.Context(), fromFile(t, 10), ledger.ImportRun{Records: 11}, noRejects, nil); err == nil {
		t.Error("a source that has become shorter was taken for the same")
	}
}

func TestAnImportWaitsWhileLikesGoToPostgres(t *testing.T) {
	w := newWorks(t)
	_, err := w.pool.Exec(t.Context(), `UPDATE modes SET writes_to = 'ledger', since = now()`)
	check(t, err)
	w.importer.Patience = 300 * time.Millisecond
	_, err = w.importer.Run(t.Context(), fromFile(t, 10), ledger.ImportRun{}, noRejects, nil)
	if !errors.Is(err, like.ErrElsewhere) {
		t.Fatalf("it says %v", err)
	}
	w.importer.Patience = patience
	told := make(chan error, 16)
	w.importer.Waiting = func(err error) { told <- err }
	done := make(chan error)
	go func() {
		_, err := w.importer.Run(t.Context(), fromFile(t, 10), ledger.ImportRun{}, noRejects, func(ledger.ImportRun) error { return nil })
		done <- err
	}()
	if err := <-told; !errors.Is(err, like.ErrElsewhere) {
		t.Errorf("it waits for %v", err)
	}
	_, err = w.pool.Exec(t.Context(), `UPDATE modes SET writes_to = 'redis'`)
	check(t, err)
	check(t, <-done)
	if got := len(w.likes()); got != 10 {
		t.Errorf("%d are liked", got)
	}
}

func TestAnItemCanNotBeLoadedWithHalfOfAnImport(t *testing.T) {
	w := newWorks(t)
	shard := counter.ShardOf("i", shards)
	claimed, err := w.log.Claim(t.Context(), shard, "token", []string{"i"})
	check(t, err)
	if len(claimed) > 0 {
		t.Fatalf("%v are resident", claimed)
	}
	im, err := w.ledger.BeginImport(t.Context(), shards, shard)
	check(t, err)
	defer im.Rollback(context.WithoutCancel(t.Context()))
	_, _, err = im.Apply(t.Context(), []ledger.Row{{
		Item: "i", User: "u", Liked: true, Version: like.ImportedAt(time.Now(), like.DirectAt(time.Now())), Bucket: counter.Bucket("i"),
	}}, nil)
	check(t, err)
	answered := make(chan []like.Result)
	go func() { answered <- w.want("i", like.Liked, "other") }()
	select {
	case r := <-answered:
		t.Fatalf("the item was loaded before the commit: %+v", r)
	case <-time.After(200 * time.Millisecond):
	}
	check(t, im.Commit(t.Context()))
	lost, err := w.log.Disclaim(t.Context(), shard, "token", []string{"i"})
	if err != nil || len(lost) > 0 {
		t.Errorf("claims that were lost: %v, %v", lost, err)
	}
	if r := <-answered; r[0].Count != 2 {
		t.Errorf("after the commit: %+v", r[0])
	}
	w.likes()
}

func TestAClaimThatWasNotOursToTheEndIsTold(t *testing.T) {
	w := newWorks(t)
	items := []string{"a", "b", "c"}
	_, err := w.log.Claim(t.Context(), 0, "mine", items)
	check(t, err)
	_, err = w.log.Claim(t.Context(), 0, "yours", []string{"b"})
	check(t, err)
	check(t, w.rdb.HSet(t.Context(), "p1:{0}:claims", "c", "1000 mine").Err()) // it has run out
	lost, err := w.log.Disclaim(t.Context(), 0, "mine", items)
	if err != nil || !slices.Equal(lost, []string{"b", "c"}) {
		t.Errorf("lost are %v, %v", lost, err)
	}
	left, err := w.rdb.HKeys(t.Context(), "p1:{0}:claims").Result()
	if err != nil || !slices.Equal(left, []string{"b"}) {
		t.Errorf("claims that are left: %v, %v", left, err)
	}
}

func TestAnImportThatDiedBeforeItsCommitIsRepeatedWithoutAnyCountTwice(t *testing.T) {
	w := newWorks(t)
	w.want("whole", like.Liked, "x")
	w.want("part", like.Liked, users("p", 12)...)
	w.drain()
	_, err := w.log.Evict(t.Context(), counter.ShardOf("part", shards), []string{"part"})
	check(t, err)
	w.want("part", like.NotLiked, "known")
	for _, item := range []string{"whole", "part"} { // Redis has heard of them, and nobody else
		shard := counter.ShardOf(item, shards)
		for range 2 {
			check(t, w.log.Absorb(t.Context(), shard, 0, []counter.Flip{
				{Pair: counter.Pair{Item: item, User: "known"}, Liked: true}, {Pair: counter.Pair{Item: item, User: "new"}, Liked: true},
			}))
		}
	}
	w.bring(append(lines("whole", "known", "new"), lines("part", "known", "new")...)...)
	if got := w.likes(); len(got) != 17 {
		t.Errorf("%d are liked, want 17", len(got))
	}
}
