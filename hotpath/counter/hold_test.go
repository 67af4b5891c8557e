package counter

import (
	"context"
	"testing"
	"time"

	"plusone/hotpath/like"
)

func TestAnItemWhoseLoaderDiedIsLoadedByAnotherSoon(t *testing.T) {
	t.Parallel()
	r := realRig(t, Options{})
	r.book.set("old", "ann", true)
	dead := start(t, r.rdb.Options().Addr, r.book, Options{Shards: 4})
	shard := ShardOf("old", 4)
	r.do("new", "ann", like.Liked) // opens a shard
	eventually(t, "the shard is open", func() bool {
		loans, _, err := dead.warm.lease(t.Context(), shard, []string{"old"})
		if err == nil && len(loans) == 0 {
			ok(t, r.try("opener", "ann", like.Liked).Err)
		}
		return len(loans) == 1
	})
	begin := time.Now()
	eventually(t, "the item is loaded", func() bool { return r.try("old", "bob", like.Liked).Err == nil })
	if took := time.Since(begin); took > 4*time.Second { // the goal after kill -9 is 5 s
		t.Errorf("it took %v", took)
	}
	r.checkItem("old", 2)
}

func TestALoadMayTakeLongerThanItsLease(t *testing.T) {
	t.Parallel()
	r := realRig(t, Options{})
	r.book.set("old", "ann", true)
	release, free := context.WithCancel(t.Context()) // ends with the test, also when that fails
	r.book.answer(func() { <-release.Done() })
	answered := make(chan like.Result, 1)
	go func() { answered <- r.try("old", "bob", like.Liked) }()

	lease := keysOf(ShardOf("old", 4)).lease + "old"
	left := func() time.Duration { return r.rdb.PTTL(t.Context(), lease).Val() }
	eventually(t, "the lease has aged", func() bool { d := left(); return d > 0 && d < loanTime*4/5 })
	eventually(t, "the lease is renewed", func() bool { return left() > loanTime*9/10 })
	asked := r.book.asked()
	r.book.answer(nil)
	free()
	ok(t, (<-answered).Err)
	r.checkItem("old", 2)
	if more := r.book.asked() - asked; more > 1 {
		t.Errorf("the ledger was asked %d times more: the first load was not installed", more)
	}
}

func TestALeaseThatHasRunOutIsNotRenewed(t *testing.T) {
	t.Parallel()
	r := realRig(t, Options{})
	loans := []*loan{{shard: 0, item: "old"}}
	lease := keysOf(0).lease + "old"
	r.warm.renew(t.Context(), loans)
	if n := r.rdb.Exists(t.Context(), lease).Val(); n != 0 {
		t.Error("a lease that was gone is there")
	}
	ok(t, r.rdb.Set(t.Context(), lease, "another", time.Second).Err())
	r.warm.renew(t.Context(), loans)
	if d := r.rdb.PTTL(t.Context(), lease).Val(); d > time.Second {
		t.Errorf("another's lease was renewed: %v", d)
	}
}
