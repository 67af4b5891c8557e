package reconcile

import (
	"strings"
	"testing"

	"plusone/hotpath/counter"
	"plusone/hotpath/like"
)

// partly likes an item by u0…u99, takes the likes of u0…u9 back, and leaves it
// resident partly: all those who do not like it and some of the others are known.
func (r *rig) partly(item string) (known []string) {
	r.t.Helper()
	r.like(item, 100)
	ops, res := make([]like.Op, 10), make([]like.Result, 10)
	for i := range ops {
		ops[i] = like.Op{Item: item, User: "u" + string(rune('0'+i)), Want: like.NotLiked}
	}
	ok(r.t, r.counter.Apply(r.t.Context(), ops, res))
	_, err := r.log.Shrink(r.t.Context(), counter.ShardOf(item, shards), item, 50, 50)
	ok(r.t, err) // the log names all of them: nobody is forgotten, the mark is set
	r.drain()
	_, err = r.log.Shrink(r.t.Context(), counter.ShardOf(item, shards), item, 60, 60)
	ok(r.t, err)
	members, err := r.rdb.SMembers(r.t.Context(), likers(item)).Result()
	ok(r.t, err)
	return members
}

func TestDamageOfAPartlyResidentItemIsMendedAndNothingElse(t *testing.T) {
	r := newRig(t)
	var likes, others []string
	for _, m := range r.partly("big") {
		if user, liked := counter.Told(m); liked {
			likes = append(likes, user)
		} else if user != "" {
			others = append(others, user)
		}
	}
	expect(t, r.once(false))

	ctx, set := t.Context(), likers("big")
	ok(t, r.rdb.SRem(ctx, set, likes[0], "%"+others[0]).Err())
	ok(t, r.rdb.SAdd(ctx, set, "%"+likes[0], others[0], "nobody").Err())
	ok(t, r.rdb.HIncrBy(ctx, key("big", "counts"), "big", 7).Err())
	rep := r.once(true)
	if len(rep.Drifts) != 4 {
		t.Errorf("a dry run finds %s", told(rep))
	}
	expect(t, r.once(false),
		CauseLikeKept+": big "+likes[0]+" not liked→liked true",
		CauseUnlikeLost+": big "+others[0]+" liked→not liked true",
		CauseLedgerLost+": big nobody no row→liked true",
		CausePartCount+": big  97→91 true") // 90, and nobody's, whom the ledger gets by the log
	r.drain()
	expect(t, r.once(false))
	got, err := r.counter.Read(ctx, []string{"big"}, likes[0])
	ok(t, err)
	if got[0].Count != 91 || !got[0].Liked || r.rdb.SIsMember(ctx, set, "%"+others[0]).Val() == false {
		t.Errorf("afterwards %+v", got[0])
	}
}

func TestAWrongCountInTheLedgerDoesNotSpreadToRedis(t *testing.T) {
	r := newRig(t)
	r.partly("big")
	r.exec(`UPDATE item_counts SET count = 5 WHERE item_id = 'big'`)
	shard := counter.ShardOf("big", shards)
	p, err := r.reconciler(Options{}).begin(t.Context(), false)
	ok(t, err)
	defer p.end(t.Context())
	ok(t, p.shard(t.Context(), shard)) // without the check of the books, which comes first
	expect(t, p.report)
	if n := r.rdb.HGet(t.Context(), key("big", "counts"), "big").Val(); n != "90" {
		t.Errorf("the count in Redis is %s", n)
	}
	rep := r.once(false)
	if len(rep.Drifts) != 1 || !strings.HasPrefix(told(rep), CauseLedgerCount) {
		t.Errorf("findings: %s", told(rep))
	}
}
