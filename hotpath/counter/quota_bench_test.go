package counter

import (
	"slices"
	"strconv"
	"testing"

	"github.com/redis/go-redis/v9"
)

// BenchmarkQuotaScript tells the CPU time of Redis' main thread for a unit that is
// reserved and confirmed, of users who come for the first time, size of them a call.
func BenchmarkQuotaScript(b *testing.B) {
	for _, size := range []int{1, 32, 128, maxScript} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			s := newScale(b)
			ok(b, s.rdb.ScriptLoad(b.Context(), quotaScript.text).Err())
			k := keysOf(0)
			var spent float64
			for b.Loop() {
				var last, now []*redis.Cmd
				for calls := range slices.Chunk(s.newLikes(func() int { return 0 }), 16*size) {
					pipe := s.rdb.Pipeline()
					last, now = now, nil
					for users := range slices.Chunk(calls, size) {
						args := []any{100, 3_600_000, 2000, "%slip", 7, 0, len(users), 0, min(max(len(last)-len(now), 0), 1)}
						for _, p := range users {
							args = append(args, p.User)
						}
						if len(now) < len(last) {
							r, err := last[len(now)].StringSlice()
							ok(b, err)
							args = append(args, r[0], r[2], "", "")
						}
						now = append(now, pipe.EvalSha(b.Context(), quotaScript.sha, []string{k.quota, k.reserved}, args...))
					}
					spent += s.spent(pipe)
				}
			}
			b.ReportMetric(spent/float64(b.N*roundLikes)*1e6, "redis-µs/unit")
			b.ReportMetric(0, "ns/op")
		})
	}
}
