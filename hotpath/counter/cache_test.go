package counter

import (
	"testing"
	"time"

	"plusone/hotpath/like"
)

func TestACountThatWasToldAMomentAgoIsToldAgainWithOwnChanges(t *testing.T) {
	r := realRig(t, Options{})
	item := []byte("page")
	if _, there := r.Recent(item, time.Now()); there {
		t.Error("nothing was told yet")
	}
	if _, there := r.Recent(nil, time.Now()); there {
		t.Error("an empty id is told of")
	}
	for n, op := range []like.Op{
		{Item: "page", User: "ann", Want: like.Liked},
		{Item: "page", User: "ben", Want: like.Liked},
		{Item: "page", User: "ann", Want: like.Liked},
		{Item: "page", User: "ann", Want: like.Toggle},
	} {
		res := make([]like.Result, 1)
		ok(t, r.Apply(t.Context(), []like.Op{op}, res))
		ok(t, res[0].Err)
		now := time.Now()
		got, there := r.Recent(item, now)
		if now.Sub(got.AsOf) < cacheRecent && (!there || got.Count != res[0].Count || got.Source != like.FromCache) {
			t.Errorf("after op %d the count is %d, told is %+v %v", n, res[0].Count, got, there)
		}
		if got, there := r.Recent(item, now.Add(2*cacheRecent)); there {
			t.Errorf("an old count is told: %+v", got)
		}
	}
	now := time.Now()
	if n := testing.AllocsPerRun(100, func() { r.Recent(item, now) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkRecent(b *testing.B) {
	c := &Counter{cache: newCache()}
	now := time.Now()
	c.cache.put("item-0000001", 42, now)
	item := []byte("item-0000001")
	b.ReportAllocs()
	for b.Loop() {
		if _, there := c.Recent(item, now); !there {
			b.Fatal("it is not there")
		}
	}
}
