package counter

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"plusone/hotpath/like"
	"plusone/scripts/dev/private/privatetest"
)

// poll sends one vote; it must not fail.
func (r *rig) vote(item, ref string, want like.VoteWant, weight int32) like.Voted {
	r.t.Helper()
	v := r.tryVote(r.Counter, item, ref, want, weight)
	ok(r.t, v.Err)
	return v
}

func (r *rig) tryVote(c *Counter, item, ref string, want like.VoteWant, weight int32) like.Voted {
	ctx, cancel := context.WithTimeout(r.t.Context(), 3*time.Second)
	defer cancel()
	return c.Vote(ctx, like.VoteOp{Item: item, Ref: ref, Want: want, Weight: weight})
}

// checkVotes holds I2 of an item with votes.
func (r *rig) checkVotes(item string, likers, votes int64) {
	r.t.Helper()
	k := keysOf(ShardOf(item, r.log.Shards()))
	count, err := r.rdb.HGet(r.t.Context(), k.counts, item).Int64()
	ok(r.t, err)
	equal(r.t, "count of "+item, count, likers+votes)
	equal(r.t, "cardinality of "+item, r.rdb.SCard(r.t.Context(), k.likers+item).Val(), likers)
	sum, _ := r.rdb.HGet(r.t.Context(), k.votes, item).Int64()
	equal(r.t, "votes of "+item, sum, votes)
}

func TestAVoteCountsOnceAndIsGivenBackOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		r := newRig(t, addr, Options{})
		r.do("post", "ann", like.Liked)
		for range 3 { // before a drain, and when the ledger has it
			v := r.vote("post", "pay1", like.CountVote, 5)
			equal(t, "count", v.Count, 6)
			equal(t, "counts", v.Counted, true)
			again := r.vote("post", "pay1", like.CountVote, 5)
			equal(t, "the same again", again, v)
			if err := r.tryVote(r.Counter, "post", "pay1", like.CountVote, 6).Err; !errors.Is(err, like.ErrVoteConflict) {
				t.Errorf("another weight: %v", err)
			}
			r.book.drain(t, r.log)
		}
		r.checkVotes("post", 1, 5)
		for range 3 {
			v := r.vote("post", "pay1", like.RefundVote, 0)
			equal(t, "count", v.Count, 1)
			equal(t, "counts", v.Counted, false)
			equal(t, "weight", v.Weight, 5)
			equal(t, "a vote that was given back", r.vote("post", "pay1", like.CountVote, 5), v)
			r.book.drain(t, r.log)
		}
		r.checkVotes("post", 1, 0)
		equal(t, "a user of that name", r.do("post", "pay1", like.Liked).Count, 2)
		if err := r.tryVote(r.Counter, "post", "pay2", like.LookAtVote, 0).Err; !errors.Is(err, like.ErrNotFound) {
			t.Errorf("a look at no vote: %v", err)
		}
		equal(t, "in the book", r.book.sum("post"), 0)
	})
}

func TestARefundBeforeItsVoteKeepsItFromCounting(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		r := newRig(t, addr, Options{})
		first := r.vote("post", "pay", like.RefundVote, 0)
		equal(t, "weight", first.Weight, 0)
		equal(t, "the late vote", r.vote("post", "pay", like.CountVote, 9), first)
		r.book.drain(t, r.log)
		commands(t, r.rdb, "FLUSHALL")
		equal(t, "the late vote when only the ledger knows", r.vote("post", "pay", like.CountVote, 9), first)
		r.checkVotes("post", 0, 0)
	})
}

func TestOneVoteRacedOverTwoProcessesCountsOnce(t *testing.T) {
	addr := address(t, privatetest.Redis(t).URL())
	r := newRig(t, addr, Options{})
	twin := start(t, addr, r.book, Options{Shards: 4})
	var all sync.WaitGroup
	answers := make([]like.Voted, 64)
	drained := make(chan struct{})
	all.Go(func() {
		defer close(drained)
		for range 20 {
			r.book.drain(t, r.log)
		}
	})
	for i := range answers {
		all.Go(func() {
			c := []*Counter{r.Counter, twin}[i%2]
			answers[i] = r.tryVote(c, "post", fmt.Sprint("pay", i%4), like.CountVote, 5)
		})
	}
	all.Wait()
	r.book.drain(t, r.log)
	for i, v := range answers {
		ok(t, v.Err)
		equal(t, "receipt", v.Receipt, answers[i%4].Receipt)
	}
	r.checkVotes("post", 0, 20)
	equal(t, "in the book", r.book.sum("post"), 20)
}

func TestVotesComeBackWithAColdItem(t *testing.T) {
	for _, most := range []int{0, 1} { // wholly, partly
		onBoth(t, func(t *testing.T, addr string) {
			r := newRig(t, addr, Options{ResidentSetMax: most})
			for i := range 3 {
				r.do("post", fmt.Sprint("u", i), like.Liked)
			}
			r.vote("post", "pay", like.CountVote, 1_000_000)
			shard := ShardOf("post", 4)
			gone := func(want int) {
				t.Helper()
				n, err := r.log.Evict(t.Context(), shard, []string{"post"})
				ok(t, err)
				equal(t, "evicted", n, want)
			}
			gone(0) // the log names it
			r.book.drain(t, r.log)
			gone(1)
			k := keysOf(shard)
			equal(t, "votes of a cold item", r.rdb.HExists(t.Context(), k.votes, "post").Val(), false)
			equal(t, "count", r.vote("post", "pay", like.CountVote, 1_000_000).Count, 1_000_003)
			equal(t, "count after a like", r.do("post", "new", like.Liked).Count, 1_000_004)
			equal(t, "partly", r.rdb.SIsMember(t.Context(), k.partly, "post").Val(), most == 1)
			equal(t, "read", r.read("post", "u1").Count, 1_000_004)
		})
	}
}

// An answer of the ledger from before a vote was drained and forgotten says that there
// is none. It must not be believed.
func TestAnOldAnswerOfTheLedgerDoesNotCountAVoteTwice(t *testing.T) {
	for name, meanwhile := range map[string]func(*rig){
		"forgotten": func(r *rig) {
			r.refs = 0
			r.vote("post", "other", like.CountVote, 1)
		},
		"opened anew": func(r *rig) { commands(r.t, r.rdb, "FLUSHALL") },
	} {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, addr string) {
				r := newRig(t, addr, Options{})
				r.t = t
				twin := start(t, addr, r.book, Options{Shards: 4})
				r.do("post", "ann", like.Liked)
				r.book.drain(t, r.log)
				asked := 0
				r.book.answer(func() {
					if asked++; asked > 1 {
						return
					}
					r.book.answer(nil)
					r.vote("post", "pay", like.CountVote, 5)
					r.book.drain(t, r.log)
					meanwhile(r)
					r.vote("post", "more", like.CountVote, 1)
				})
				ok(t, r.tryVote(twin, "post", "pay", like.CountVote, 5).Err)
				r.book.drain(t, r.log)
				equal(t, "votes in the book", r.book.votes[Pair{"post", "pay"}].Weight, 5)
				r.checkVotes("post", 1, r.book.sum("post"))
			})
		})
	}
}

func TestVotesAreRefusedWhileAStoreIsAway(t *testing.T) {
	server := privatetest.Redis(t)
	r := newRig(t, address(t, server.URL()), Options{})
	r.vote("post", "pay", like.CountVote, 5)
	r.book.fail(errors.New("the ledger is away"))
	if err := r.tryVote(r.Counter, "post", "pay2", like.CountVote, 5).Err; !errors.Is(err, like.ErrUnavailable) {
		t.Errorf("without the ledger: %v", err)
	}
	r.book.fail(nil)
	r.checkVotes("post", 0, 5)
}

func TestARefusedVoteIsTakenBack(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		r := newRig(t, addr, Options{})
		r.do("post", "ann", like.Liked)
		v := r.vote("post", "pay", like.CountVote, 5)
		ch := like.Change{Item: "post", User: like.VoteUser("pay"), Liked: true, Weight: 5, Version: v.Version}
		for range 2 {
			undone, err := r.log.Undo(t.Context(), ShardOf("post", 4), ch)
			ok(t, err)
			equal(t, "undone", undone, true)
			r.checkVotes("post", 1, 0)
		}
		r.book.drain(t, r.log) // a drain that has refused it gets past it
		delete(r.book.votes, Pair{"post", "pay"})
		back := r.vote("post", "kept", like.CountVote, 7)
		r.book.drain(t, r.log)
		gone := r.vote("post", "kept", like.RefundVote, 0)
		undone, err := r.log.Undo(t.Context(), ShardOf("post", 4), like.Change{Item: "post", User: like.VoteUser("kept"), Liked: true, Weight: 7, Version: back.Version})
		ok(t, err)
		equal(t, "undone although something newer has happened", undone, false)
		_, err = r.log.Undo(t.Context(), ShardOf("post", 4), like.Change{Item: "post", User: like.VoteUser("kept"), Weight: 7, Version: gone.Version})
		ok(t, err)
		r.checkVotes("post", 1, 7)
	})
}

func TestAVoteThatHasMovedOnIsNotMended(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		r := newRig(t, addr, Options{})
		r.do("post", "ann", like.Liked)
		shard := ShardOf("post", 4)
		known := func() KnownVote {
			t.Helper()
			all, _, err := r.log.KnownVotes(t.Context(), shard, 0)
			ok(t, err)
			if len(all) != 1 {
				t.Fatalf("Redis knows %d votes", len(all))
			}
			return all[0]
		}
		r.vote("post", "pay", like.CountVote, 5)
		old := known()
		gone := r.vote("post", "pay", like.RefundVote, 0)
		for _, forget := range []bool{false, true} {
			done, err := r.log.Revote(t.Context(), shard, old, forget)
			ok(t, err)
			equal(t, "done", done, false)
		}
		equal(t, "what Redis knows", known().State.Version, gone.Version)
		done, err := r.log.Revote(t.Context(), shard, known(), true)
		ok(t, err)
		equal(t, "done", done, true)
		equal(t, "answers of the ledger are good from", r.rdb.HGet(t.Context(), keysOf(shard).meta, "lapsed").Val(), gone.Version.String())
		r.checkVotes("post", 1, 0)
	})
}
