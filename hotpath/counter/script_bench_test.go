package counter

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/redis/go-redis/v9"

	"plusone/hotpath/like"
	"plusone/scripts/dev/private"
	"plusone/scripts/dev/private/privatetest"
)

// roundLikes is how many likes one round of a benchmark brings.
const roundLikes = 1 << 14

// BenchmarkLikeScript compares the CPU time that Redis' main thread spends on a new
// like, by the script and by a pipeline of SADD and HINCRBY that is neither atomic
// nor logged: the same likes, by turns, append-only file everysec. What others do on
// the machine hardly changes ×raw.
func BenchmarkLikeScript(b *testing.B) {
	items := map[string]func() int{
		"log-uniform-1000": func() int { return int(math.Exp(rand.Float64() * math.Log(1000))) },
		"uniform-1000":     func() int { return rand.IntN(1000) },
		"ten-hot":          func() int { return rand.IntN(10) },
		"single":           func() int { return 0 },
	}
	for _, spread := range sorted([]string{"log-uniform-1000", "uniform-1000", "ten-hot", "single"}) {
		for _, size := range []int{1, 16, 64, 256, maxScript} {
			b.Run(fmt.Sprintf("%s/%d", spread, size), func(b *testing.B) {
				s := newScale(b)
				for b.Loop() {
					s.round(size, items[spread])
				}
				likes := float64(b.N * roundLikes)
				b.ReportMetric(s.raw/likes*1e9, "raw-ns/like")
				b.ReportMetric(s.script/likes*1e9, "script-ns/like")
				b.ReportMetric(s.script/s.raw, "×raw")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// BenchmarkLikeScriptOnOldLikes compares, in the same way, likes that are there
// already, which the other way counts a second time, and unlikes.
func BenchmarkLikeScriptOnOldLikes(b *testing.B) {
	logUniform := func() int { return int(math.Exp(rand.Float64() * math.Log(1000))) }
	for name, want := range map[string]like.Want{"liked": like.Liked, "unliked": like.NotLiked} {
		b.Run(name, func(b *testing.B) {
			s := newScale(b)
			for b.Loop() {
				raw, script := s.raw, s.script
				pairs := s.newLikes(logUniform)
				s.weigh(pairs, 256, like.Liked)
				s.raw, s.script = raw, script
				s.weigh(pairs, 256, want)
			}
			b.ReportMetric(s.script/s.raw, "×raw")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// scale weighs the two ways against each other; each has a shard of its own.
type scale struct {
	b           *testing.B
	rdb         *redis.Client
	users       int
	raw, script float64 // seconds of CPU
}

func newScale(b *testing.B) *scale {
	r, err := private.StartRedis(b.Context(), private.RedisOptions{Dir: privatetest.Directory(b), AppendFsync: "everysec"})
	if err != nil {
		b.Skip(err)
	}
	b.Cleanup(r.Kill)
	opt, err := redis.ParseURL(r.URL())
	ok(b, err)
	s := &scale{b: b, rdb: redis.NewClient(opt)}
	b.Cleanup(func() { _ = s.rdb.Close() })
	ok(b, s.rdb.ScriptLoad(b.Context(), likeScript.text).Err())
	k := keysOf(0)
	ok(b, s.rdb.HSet(b.Context(), k.meta, "shards", 2).Err())
	for i := range 1000 {
		ok(b, s.rdb.HSet(b.Context(), k.counts, nameOf(i), 0).Err())
	}
	return s
}

func nameOf(i int) string { return "item-" + strconv.Itoa(i) }

// round sends the same new likes both ways, size of them at once.
func (s *scale) round(size int, item func() int) {
	s.weigh(s.newLikes(item), size, like.Liked)
}

// newLikes are as many pairs as a round has, of users who were not there yet.
func (s *scale) newLikes(item func() int) []Pair {
	pairs := make([]Pair, roundLikes)
	for i := range pairs {
		s.users++
		pairs[i] = Pair{Item: nameOf(item()), User: "u" + strconv.Itoa(1_000_000+s.users)}
	}
	return pairs
}

// weigh sends the same ops both ways.
func (s *scale) weigh(pairs []Pair, size int, want like.Want) {
	ctx, opt := s.b.Context(), &Options{Shards: 2, MaxPending: 1 << 20}
	mine, other := keysOf(0), keysOf(1)
	script, raw := s.rdb.Pipeline(), s.rdb.Pipeline()
	for part := range slices.Chunk(pairs, size) {
		out := newOutbox([]keys{mine})
		for _, p := range part {
			out.add(&slot{op: like.Op{Item: p.Item, User: p.User, Want: want}})
			if want == like.Liked {
				raw.SAdd(ctx, other.likers+p.Item, p.User)
				raw.HIncrBy(ctx, other.counts, p.Item, 1)
			} else {
				raw.SRem(ctx, other.likers+p.Item, p.User)
				raw.HIncrBy(ctx, other.counts, p.Item, -1)
			}
		}
		ok(s.b, script.Process(ctx, out.batches[0].command(ctx, opt, 0)))
	}
	s.raw += s.spent(raw)
	s.script += s.spent(script)
	ok(s.b, s.rdb.XTrimMaxLen(ctx, mine.log, 0).Err())
}

// spent runs a pipeline and tells the CPU time that it took Redis' main thread.
func (s *scale) spent(pipe redis.Pipeliner) float64 {
	before := s.cpu()
	_, err := pipe.Exec(s.b.Context())
	ok(s.b, err)
	return s.cpu() - before
}

func (s *scale) cpu() (sum float64) {
	info, err := s.rdb.Info(s.b.Context(), "cpu").Result()
	ok(s.b, err)
	for _, name := range []string{"used_cpu_user_main_thread", "used_cpu_sys_main_thread"} {
		seconds, err := strconv.ParseFloat(fieldText(info, name), 64)
		ok(s.b, err)
		sum += seconds
	}
	return sum
}
