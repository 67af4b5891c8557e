package reconcile

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"plusone/hotpath/counter"
	"plusone/hotpath/like"
)

func (r *rig) vote(item, ref string, want like.VoteWant, weight int32) {
	r.t.Helper()
	ok(r.t, r.counter.Vote(r.t.Context(), like.VoteOp{Item: item, Ref: ref, Want: want, Weight: weight}).Err)
}

// voted is an item with two likes, votes of 5 and 7, and one of 3 that was given back.
func (r *rig) voted(item string) {
	r.t.Helper()
	r.like(item, 2)
	r.vote(item, "five", like.CountVote, 5)
	r.vote(item, "seven", like.CountVote, 7)
	r.vote(item, "back", like.CountVote, 3)
	r.drain()
	r.vote(item, "back", like.RefundVote, 0)
	r.drain()
}

// reset empties both sides.
func (r *rig) reset() {
	r.t.Helper()
	ok(r.t, r.rdb.FlushAll(r.t.Context()).Err())
	_, err := r.pool.Exec(r.t.Context(), `TRUNCATE likes, votes, item_counts, repairs`)
	ok(r.t, err)
}

// agreeOn holds I1, I2 and I3 for an item with votes.
func (r *rig) agreeOn(item string, likes, votes int64) {
	r.t.Helper()
	r.drain()
	var got struct{ count, votes, rows, likes int64 }
	ok(r.t, r.pool.QueryRow(r.t.Context(), `
		SELECT count, coalesce(votes, 0), (SELECT coalesce(sum(weight), 0) FROM votes WHERE item_id = $1 AND counted),
		       (SELECT count(*) FROM likes WHERE item_id = $1 AND liked)
		  FROM item_counts WHERE item_id = $1`, item).Scan(&got.count, &got.votes, &got.rows, &got.likes))
	if got != (struct{ count, votes, rows, likes int64 }{likes + votes, votes, votes, likes}) {
		r.t.Errorf("%s: the ledger has %+v; want %d likes and votes of %d", item, got, likes, votes)
	}
	count, _ := r.rdb.HGet(r.t.Context(), key(item, "counts"), item).Int64()
	sum, _ := r.rdb.HGet(r.t.Context(), key(item, "votes"), item).Int64()
	if card := r.rdb.SCard(r.t.Context(), likers(item)).Val(); count != likes+votes || sum != votes || card != likes {
		r.t.Errorf("%s: redis counts %d, votes %d, cardinality %d; want %d likes and votes of %d", item, count, sum, card, likes, votes)
	}
}

func TestDamagedVotesAreFoundAndRepairedOnEitherSide(t *testing.T) {
	books := func(from, to string) string { return CauseLedgerCount + ": post  " + from + "→" + to + " true" }
	sum := func(from, to string) string { return CauseVotes + ": post  " + from + "→" + to + " true" }
	r := newRig(t)
	for name, c := range map[string]struct {
		damage func(r *rig)
		want   []string
		votes  int64
	}{
		"the sum in redis is lost": {
			func(r *rig) { r.rdb.HDel(r.t.Context(), key("post", "votes"), "post") }, []string{sum("", "12")}, 12,
		},
		"the sum in redis is wrong": {
			func(r *rig) { r.rdb.HIncrBy(r.t.Context(), key("post", "votes"), "post", 8) }, []string{sum("20", "12")}, 12,
		},
		"sum and count in redis are wrong": {
			func(r *rig) {
				r.rdb.HIncrBy(r.t.Context(), key("post", "votes"), "post", 8)
				r.rdb.HIncrBy(r.t.Context(), key("post", "counts"), "post", 8)
			}, []string{sum("20", "12"), CauseSetCount + ": post  22→14 true"}, 12,
		},
		"the count in redis is wrong": {
			func(r *rig) { r.rdb.HIncrBy(r.t.Context(), key("post", "counts"), "post", 8) },
			[]string{CauseSetCount + ": post  22→14 true"},
			12,
		},
		"the ledger has lost a vote": {
			func(r *rig) { r.exec(`DELETE FROM votes WHERE ref = 'five'`) },
			[]string{books("14, 12 of them votes", "9, 7 of them votes"), CauseVoteLost + ": post %five unknown→counts with 5 true"},
			12,
		},
		"the ledger has lost a refund": {
			func(r *rig) { r.exec(`DELETE FROM votes WHERE ref = 'back'`) },
			[]string{CauseVoteLost + ": post %back unknown→given back, 3 true"},
			12,
		},
		"the ledger has lost a vote of which redis knows the sum alone": {
			func(r *rig) {
				r.exec(`DELETE FROM votes WHERE ref = 'five'`)
				r.rdb.Del(r.t.Context(), key("post", "refs"))
			},
			[]string{books("14, 12 of them votes", "9, 7 of them votes"), sum("12", "7"), CauseSetCount + ": post  14→9 true"},
			7,
		},
		"the ledger has another weight": {
			func(r *rig) { r.exec(`UPDATE votes SET weight = 6 WHERE ref = 'five'`) },
			[]string{
				books("14, 12 of them votes", "15, 13 of them votes"), CauseVoteStale + ": post %five counts with 5→counts with 6 true",
				sum("12", "13"), CauseSetCount + ": post  14→15 true",
			},
			13,
		},
		"the ledger's sum of votes is wrong": {
			func(r *rig) { r.exec(`UPDATE item_counts SET votes = 1 WHERE item_id = 'post'`) },
			[]string{books("14, 1 of them votes", "14, 12 of them votes")},
			12,
		},
		"redis knows nonsense of a vote": {
			func(r *rig) { r.rdb.HSet(r.t.Context(), key("post", "refs"), "post seven", "x") },
			[]string{CauseVoteStale + ": post %seven unknown→counts with 7 true"},
			12,
		},
	} {
		t.Run(name, func(t *testing.T) {
			r.t = t
			r.reset()
			r.voted("post")
			expect(t, r.once(false))
			c.damage(r)
			if dry := r.once(true); len(dry.Drifts) == 0 {
				t.Error("a dry run finds nothing")
			}
			worker := func(shard int) { ok(t, r.drainer.Drain(t.Context(), shard)) }
			rep, err := r.reconciler(Options{Ring: worker}).Once(t.Context(), false)
			ok(t, err)
			expect(t, rep, c.want...)
			r.agreeOn("post", 2, c.votes)
			expect(t, r.once(false))
		})
	}
}

// Votes, refunds, drains and evictions go on while everything is compared again and
// again.
func TestWithoutDamageVotesUnderLoadAreNeverRepaired(t *testing.T) {
	r := newRigOf(t, counter.Options{Shards: shards, ResidentSetMax: 20})
	r.draining()
	ctx, stop := context.WithCancel(t.Context())
	var work sync.WaitGroup
	defer work.Wait()
	defer stop()
	for n := range 2 {
		work.Go(func() {
			for i := n; ctx.Err() == nil; i += 2 {
				item := fmt.Sprint("post", i%3)
				_ = r.counter.Vote(ctx, like.VoteOp{Item: item, Ref: fmt.Sprint("ref", i%200), Want: like.CountVote, Weight: int32(1 + i%200)})
				if i%3 == 0 {
					_ = r.counter.Vote(ctx, like.VoteOp{Item: item, Ref: fmt.Sprint("ref", i%200), Want: like.RefundVote})
				}
				_ = r.counter.Apply(ctx, []like.Op{{Item: item, User: fmt.Sprint("u", i%40), Want: like.Toggle}}, make([]like.Result, 1))
				if i%50 == 0 {
					_, _ = r.log.Evict(ctx, counter.ShardOf(item, shards), []string{item})
				}
			}
		})
	}
	for range 15 {
		rep, err := r.reconciler(Options{}).Once(t.Context(), false)
		ok(t, err)
		if len(rep.Drifts) > 0 {
			t.Fatalf("I8: found\n%s", told(rep))
		}
	}
}
