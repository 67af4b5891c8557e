package counter

import (
	"testing"

	"github.com/redis/go-redis/v9"

	"plusone/hotpath/like"
	"plusone/scripts/dev/private/privatetest"
)

// A server that was looked at may follow another one for a while, without the end
// of its log, and be promoted: its run id is the same, its life is not.
func TestAServerThatIsPromotedIsLookedAtAgain(t *testing.T) {
	r := newRig(t, address(t, privatetest.Redis(t).URL()), Options{})
	r.do("post", "ann", like.Liked)
	r.book.drain(t, r.log)
	shard := ShardOf("post", 4)
	tail, err := r.log.Tail(t.Context(), shard)
	ok(t, err)
	// Meanwhile another server took likes, which the ledger has.
	r.book.watermark[shard] = tail.Last + 1<<40
	r.book.set("post", "bob", true)
	_, err = r.rdb.Pipelined(t.Context(), func(pipe redis.Pipeliner) error {
		pipe.SlaveOf(t.Context(), "127.0.0.1", "1")
		pipe.SlaveOf(t.Context(), "NO", "ONE")
		return nil
	})
	ok(t, err)
	ok(t, r.rdb.ClientKillByFilter(t.Context(), "TYPE", "normal", "SKIPME", "yes").Err())

	eventually(t, "an op is applied", func() bool { return r.try("post", "ann", like.Liked).Err == nil })
	res := r.do("post", "cid", like.Liked)
	equal(t, "bob is known", res.Count, 3)
	if res.Receipt.Version <= r.book.watermark[shard] {
		t.Errorf("version %s is not above the watermark %s", res.Receipt.Version, r.book.watermark[shard])
	}
}
