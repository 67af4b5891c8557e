package counter

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// Rates are the token buckets by which the processes of the API limit somebody
// together. They end by themselves when they are full, and are worth nothing
// beyond that: whoever loses them limits for itself. It is safe for concurrent use.
type Rates struct {
	rdb  redis.UniversalClient
	keys []keys
}

// NewRates keeps buckets through rdb, which it does not own.
func NewRates(rdb redis.UniversalClient, shards int) *Rates {
	return &Rates{rdb: rdb, keys: keysOfAll(shards)}
}

// Spend takes spent[i] out of the bucket names[i], which is never further than
// depths[i] from full, and returns for each the time until it is full again: one
// pipeline, one script call per shard. Names are opaque; nobody's id should stand
// in them.
func (r *Rates) Spend(ctx context.Context, names []string, spent, depths []time.Duration) ([]time.Duration, error) {
	calls := map[int]*rateCall{}
	for i, name := range names {
		shard := ShardOf(name, len(r.keys))
		c := calls[shard]
		if c == nil {
			c = &rateCall{}
			calls[shard] = c
		}
		c.places = append(c.places, i)
		c.keys = append(c.keys, r.keys[shard].rate+name)
		c.args = append(c.args, spent[i].Microseconds(), depths[i].Microseconds())
	}
	pipe := r.rdb.Pipeline()
	for _, c := range calls {
		c.cmd = pipe.EvalSha(ctx, rateScript.sha, c.keys, c.args...)
	}
	_, _ = pipe.Exec(ctx) // each command holds its own error
	levels := make([]time.Duration, len(names))
	for _, c := range calls {
		if unknownScript(c.cmd.Err()) {
			c.cmd = r.rdb.Eval(ctx, rateScript.text, c.keys, c.args...)
		}
		got, err := c.cmd.Int64Slice()
		if err != nil {
			return nil, fmt.Errorf("share rate limits: %w", unavailable(err))
		}
		if len(got) != len(c.places) {
			return nil, fmt.Errorf("share rate limits: redis answered %d levels for %d buckets", len(got), len(c.places))
		}
		for i, place := range c.places {
			levels[place] = time.Duration(got[i]) * time.Microsecond
		}
	}
	return levels, nil
}

// rateCall is the buckets of one shard; places are theirs in the caller's list.
type rateCall struct {
	places []int
	keys   []string
	args   []any
	cmd    *redis.Cmd
}
