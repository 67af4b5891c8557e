package counter

import (
	"fmt"
	"testing"

	"github.com/redis/go-redis/v9"
)

func TestTheEvictScriptKeepsWhatTheLogHasNamedSinceItWasLookedThrough(t *testing.T) {
	rows := []struct {
		name      string
		log       []string // texts of entries 5-1, 5-2, …
		from      string
		dropped   int64
		residents string
	}{
		{name: "nothing came", from: "5-1", dropped: 2, residents: "[]"},
		{name: "an item was named", log: []string{"a +u1"}, from: "5-1", dropped: 1, residents: "[a]"},
		{name: "an item was named behind another", log: []string{"c +u1 -u2\nb -u1"}, from: "5-1", dropped: 1, residents: "[b]"},
		{name: "the entry was looked at", log: []string{"a +u1"}, from: "5-2", dropped: 2, residents: "[]"},
		{name: "more came than a call may look through", log: make([]string, 201), from: "5-1", dropped: 0, residents: "[a b]"},
	}
	onBoth(t, func(t *testing.T, addr string) {
		rdb := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1})
		t.Cleanup(func() { _ = rdb.Close() })
		k := keysOf(0)
		for _, row := range rows {
			t.Run(row.name, func(t *testing.T) {
				commands(t, rdb, "FLUSHALL", "HSET "+k.meta+" shards 4", "HSET "+k.counts+" a 1 b 0", "SADD "+k.likers+"a u1")
				for i, text := range row.log {
					add := &redis.XAddArgs{Stream: k.log, ID: fmt.Sprintf("5-%d", i+1), Values: []string{"d", text}}
					if err := rdb.XAdd(t.Context(), add).Err(); err != nil {
						t.Fatal(err)
					}
				}
				names := []string{k.meta, k.counts, k.log, k.partly, k.votes, k.likers + "a", k.likers + "b"}
				dropped, err := evictScript.run(t.Context(), rdb, names, row.from, "a", "b").Int64()
				if err != nil || dropped != row.dropped {
					t.Errorf("%d dropped, %v; want %d", dropped, err, row.dropped)
				}
				equal(t, "residents", fmt.Sprint(sorted(rdb.HKeys(t.Context(), k.counts).Val())), row.residents)
				liked := rdb.Exists(t.Context(), k.likers+"a").Val() == 1
				if resident := rdb.HExists(t.Context(), k.counts, "a").Val(); liked != resident {
					t.Errorf("a is resident: %v, its set is there: %v", resident, liked)
				}
			})
		}
	})
}
