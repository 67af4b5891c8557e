package counter

import (
	"testing"

	"github.com/redis/go-redis/v9"
)

func TestTheCheckScriptClosesLogsThatEndBelowTheWatermark(t *testing.T) {
	rows := []struct {
		says   string // of the number of shards; the ledger has 4
		end    string // of the log; the watermark is 7-0
		closed bool
	}{
		{"4", "6-9", true},
		{"4", "7-0", false},
		{"4", "8-0", false},
		{"8", "6-9", true},
		{"8", "8-0", false}, // this may be a process that has not heard of a change
		{"moved to 8", "6-9", true},
		{"moved to 8", "8-0", false},
		{"moved to 4", "6-9", false}, // the usual end of a change
		{"moving to 8", "6-9", false},
		{"moving to 4", "6-9", false},
	}
	onBoth(t, func(t *testing.T, addr string) {
		rdb := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1})
		t.Cleanup(func() { _ = rdb.Close() })
		k := keysOf(0)
		for _, row := range rows {
			t.Run(row.says+" with a log to "+row.end, func(t *testing.T) {
				commands(t, rdb, "FLUSHALL", "XADD "+k.log+" "+row.end+" m x")
				if err := rdb.HSet(t.Context(), k.meta, "shards", row.says).Err(); err != nil {
					t.Fatal(err)
				}
				fit, err := checkScript.run(t.Context(), rdb, []string{k.meta, k.log}, "7-1", "7-0", 4).Int()
				if err != nil || (fit == 0) != row.closed {
					t.Errorf("fit: %d, %v; want closed: %v", fit, err, row.closed)
				}
				if closed := rdb.Exists(t.Context(), k.meta).Val() == 0; closed != row.closed {
					t.Errorf("closed: %v, want %v", closed, row.closed)
				}
			})
		}
	})
}
