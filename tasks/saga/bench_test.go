package saga_test

import (
	"fmt"
	"testing"

	"plusone/hotpath/like"
)

// BenchmarkSagas is what a like costs from the log to the agreement of all, the
// participants' own work included.
func BenchmarkSagas(b *testing.B) {
	for _, names := range [][]string{{}, {"a"}, {"a", "b", "c"}} {
		b.Run(fmt.Sprintf("participants=%d", len(names)), func(b *testing.B) {
			w := newWorks(b, names...)
			results := make([]like.Result, 500)
			ops := make([]like.Op, 500)
			user := 0
			apply := func() {
				for i := range ops {
					user++
					ops[i] = like.Op{Item: fmt.Sprint("page-", i%100), User: fmt.Sprint("u", user), Want: like.Liked}
				}
				check(b, w.Apply(b.Context(), ops, results))
			}
			apply()
			w.settle(b, w.engine)
			for b.Loop() {
				b.StopTimer()
				apply()
				b.StartTimer()
				w.drain(b)
				for _, name := range names {
					_, err := w.engine.Turn(b.Context(), name)
					check(b, err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*len(ops)), "µs/like")
			if n := w.number(b, `SELECT count(*) FROM sagas WHERE ended_at IS NULL`); n != 0 {
				b.Errorf("%d sagas have not ended", n)
			}
		})
	}
}
