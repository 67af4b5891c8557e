package reconcile

import (
	"fmt"
	"testing"

	"plusone/hotpath/counter"
)

func TestWhatIsAlikeIsToldFromWhatIsNotAtAGlance(t *testing.T) {
	r := newRig(t)
	redis := func(args ...any) { ok(t, r.rdb.Do(t.Context(), args...).Err()) }
	p, err := r.reconciler(Options{}).begin(t.Context(), true)
	ok(t, err)
	defer p.end(t.Context())
	for n, row := range []struct {
		name   string
		likers int
		damage func(item string)
		alike  bool
	}{
		{"small", 3, func(string) {}, true},
		{"several pages", 5_000, func(string) {}, true},
		{"nobody likes it", 1, func(i string) {
			redis("SREM", likers(i), "u0")
			redis("HSET", key(i, "counts"), i, 0)
			r.exec(`UPDATE likes SET liked = false WHERE item_id = $1`, i)
		}, true},
		{"cold", 3, func(i string) { redis("HDEL", key(i, "counts"), i) }, true}, // nothing to compare
		{"a member is lost", 3, func(i string) { redis("SREM", likers(i), "u1") }, false},
		{"a member of many is lost", 5_000, func(i string) { redis("SREM", likers(i), "u1") }, false},
		{"a member is another", 3, func(i string) {
			redis("SREM", likers(i), "u1")
			redis("SADD", likers(i), "u7")
		}, false},
		{"the count is wrong", 3, func(i string) { redis("HSET", key(i, "counts"), i, 4) }, false},
		{"the count is oddly spelled", 3, func(i string) { redis("HSET", key(i, "counts"), i, "03") }, false},
		{"no set", 3, func(i string) { redis("SET", likers(i), "x") }, false},
		{"a row is lost", 3, func(i string) { r.exec(`DELETE FROM likes WHERE item_id = $1 AND user_id = 'u2'`, i) }, false},
		{"an unlike", 3, func(i string) { r.exec(`UPDATE likes SET liked = false WHERE item_id = $1 AND user_id = 'u2'`, i) }, false},
		{"an id that is none, on both sides", 3, func(i string) {
			redis("SREM", likers(i), "u1")
			redis("SADD", likers(i), "%")
			r.exec(`UPDATE likes SET user_id = '%' WHERE item_id = $1 AND user_id = 'u1'`, i)
		}, false},
	} {
		item := fmt.Sprintf("item-%d", n)
		r.like(item, row.likers)
		r.drain()
		row.damage(item)
		before := p.report.Pairs
		others, err := p.unlike(t.Context(), counter.ShardOf(item, shards), []string{item})
		ok(t, err)
		if alike := len(others) == 0; alike != row.alike {
			t.Errorf("%s: taken for alike: %v", row.name, alike)
		}
		if done := p.report.Pairs - before; row.name == "several pages" && done != 5_000 || !row.alike && done != 0 {
			t.Errorf("%s: %d pairs count as compared", row.name, done)
		}
	}
}
