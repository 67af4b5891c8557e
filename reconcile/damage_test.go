package reconcile

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"plusone/hotpath/counter"
	"plusone/hotpath/like"
	"plusone/tasks"
)

func TestStrayIdsAreRemovedAndStopNothing(t *testing.T) {
	r := newRig(t)
	r.like("post", 3)
	r.drain()
	ok(t, r.rdb.SAdd(t.Context(), likers("post"), "\xff", "a b").Err())
	ok(t, r.rdb.HSet(t.Context(), key("post", "counts"), "\xfe", 1, "x y", 2).Err())
	ok(t, r.rdb.SRem(t.Context(), likers("post"), "u1").Err())
	rep := r.once(false)
	causes := map[string]int{}
	for _, d := range rep.Drifts {
		causes[d.Cause]++
	}
	if causes[CauseBadID] != 4 || causes[CauseSetLost] != 1 {
		t.Errorf("findings: %s", told(rep))
	}
	r.agree("post", 3)
	expect(t, r.once(false))
}

func TestAnEmptyCountIsMended(t *testing.T) {
	r := newRig(t)
	r.like("post", 2)
	r.drain()
	ok(t, r.rdb.HSet(t.Context(), key("post", "counts"), "post", "").Err())
	expect(t, r.once(false), CauseSetCount+": post  →2 true")
	r.agree("post", 2)
}

func TestALargeSetThatIsGoneComesBack(t *testing.T) {
	r := newRig(t)
	n := smallRows + 100
	r.like("big", n)
	r.drain()
	ok(t, r.rdb.Del(t.Context(), likers("big")).Err())
	rep := r.once(false)
	if len(rep.Drifts) != n {
		t.Errorf("%d findings, want %d", len(rep.Drifts), n)
	}
	r.agree("big", int64(n))
	expect(t, r.once(false))
}

// A large item takes long at a low rate; the log must not fill up meanwhile.
func TestAPinThatIsKeptHoldsBackOnlyTheLatestEntries(t *testing.T) {
	r := newRig(t)
	r.like("post", 2)
	r.drain()
	shard := counter.ShardOf("post", shards)
	pin, err := r.log.Pin(t.Context(), shard, []string{"post"})
	ok(t, err)
	op := func(user string) {
		res := make([]like.Result, 1)
		ok(t, r.counter.Apply(t.Context(), []like.Op{{Item: "post", User: user, Want: like.Toggle}}, res))
		ok(t, res[0].Err)
	}
	for i := range 200 {
		op(fmt.Sprintf("x%d", i%7))
		ok(t, r.drainer.Drain(t.Context(), shard))
		ok(t, pin.Keep(t.Context()))
	}
	op("u0")
	r.drain()
	tail, err := r.log.Tail(t.Context(), shard)
	ok(t, err)
	if tail.Len > 3 {
		t.Errorf("%d entries are held back", tail.Len)
	}
	named, err := pin.Named(t.Context(), []counter.Pair{{Item: "post", User: "x3"}, {Item: "post", User: "u0"}, {Item: "post", User: "u1"}})
	ok(t, err)
	if !named[0] || !named[1] || named[2] {
		t.Errorf("named: %v", named)
	}
	mended, err := pin.Mend(t.Context(), counter.AddUser, counter.Pair{Item: "post", User: "u0"})
	ok(t, err)
	if mended.Done {
		t.Error("an unlike since the pin was taken for a loss")
	}
	ok(t, pin.Release(t.Context()))
}

// Redis is emptied while a drain holds what it has read of the lost log: nothing
// is opened before that drain has committed, so its likes are seen.
func TestAShardThatIsEmptiedDuringADrainOpensAfterIt(t *testing.T) {
	r := newRig(t)
	r.like("post", 1)
	r.drain()
	r.like("post", 2) // u1 is in the log only
	shard := counter.ShardOf("post", shards)
	tx, err := r.pool.Begin(t.Context())
	ok(t, err)
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	_, err = tx.Exec(t.Context(), `SELECT FROM item_counts WHERE item_id = 'post' FOR UPDATE`)
	ok(t, err)
	drained := make(chan error, 1)
	go func() { drained <- r.drainer.Drain(t.Context(), shard) }()
	for waiting := 0; waiting == 0; { // the drain has read and waits for the count's row
		ok(t, r.pool.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`).Scan(&waiting))
	}
	ok(t, r.rdb.FlushAll(t.Context()).Err())
	res := make([]like.Result, 1)
	answered := make(chan error, 1)
	go func() {
		answered <- r.counter.Apply(t.Context(), []like.Op{{Item: "post", User: "u1", Want: like.NotLiked}}, res)
	}()
	for waiting := 0; waiting < 2; { // so does the opening of the shard
		ok(t, r.pool.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`).Scan(&waiting))
	}
	ok(t, tx.Rollback(t.Context()))
	if err := <-drained; !errors.Is(err, tasks.ErrUnfinished) { // there is a marker, at least
		ok(t, err)
	}
	ok(t, errors.Join(<-answered, res[0].Err))
	if !res[0].Changed || res[0].Count != 1 {
		t.Errorf("the unlike answers %+v", res[0])
	}
	r.agree("post", 1)
	expect(t, r.once(false))
}
