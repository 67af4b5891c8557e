package counter

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"plusone/hotpath/like"
	"plusone/scripts/dev/private/privatetest"
)

// BenchmarkApply is one like a call, of 128 callers side by side, on 1,000 items,
// the first ones much more often.
func BenchmarkApply(b *testing.B) {
	c := newBenchCounter(b)
	items := make([]string, 1000)
	for i := range items {
		items[i] = fmt.Sprint("item-", i)
	}
	var callers atomic.Int64
	b.SetParallelism(64)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		user := fmt.Sprintf("user-%d-", callers.Add(1))
		ops, results := make([]like.Op, 1), make([]like.Result, 1)
		for i := 0; pb.Next(); i++ {
			item := items[int(float64(len(items)-1)*rand.Float64()*rand.Float64()*rand.Float64())]
			ops[0] = like.Op{Item: item, User: fmt.Sprint(user, i), Want: like.Liked}
			if err := c.Apply(context.Background(), ops, results); err != nil || results[0].Err != nil {
				b.Fatal(err, results[0].Err)
			}
		}
	})
}

// BenchmarkApplyAlone is one like after the other: nothing else is on the lane.
func BenchmarkApplyAlone(b *testing.B) {
	c := newBenchCounter(b)
	ops, results := make([]like.Op, 1), make([]like.Result, 1)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		ops[0] = like.Op{Item: "item", User: fmt.Sprint("user-", i), Want: like.Liked}
		if err := c.Apply(context.Background(), ops, results); err != nil || results[0].Err != nil {
			b.Fatal(err, results[0].Err)
		}
	}
}

func newBenchCounter(b *testing.B) *Counter {
	conn, err := redis.ParseURL(privatetest.Redis(b).URL())
	ok(b, err)
	c, err := New(redis.UniversalOptions{Addrs: []string{conn.Addr}}, newBook(), Options{MaxPending: 1 << 30})
	ok(b, err)
	b.Cleanup(func() { ok(b, c.Close(context.Background())) })
	return c
}
