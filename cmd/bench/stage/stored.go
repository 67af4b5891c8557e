package stage

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"plusone/hotpath/like"
)

// Shards is how many shards plusone has by default.
const Shards = like.DefaultShards

func key(shard int, name string) string { return "p1:{" + strconv.Itoa(shard) + "}:" + name }

// Stored is how many likes plusone holds in Redis: the sum of the counts, which
// must be the sum of the sets' cardinalities.
func (s *Stage) Stored(ctx context.Context) (likes uint64, err error) { return s.StoredBut(ctx, "") }

// StoredBut is the same without one item.
func (s *Stage) StoredBut(ctx context.Context, not string) (likes uint64, err error) {
	for shard := range Shards {
		counts, err := s.Rdb.HGetAll(ctx, key(shard, "counts")).Result()
		if err != nil {
			return 0, err
		}
		sets := make(map[string]string, len(counts))
		delete(counts, not)
		for item, count := range counts {
			sets[key(shard, "likers:"+item)] = count
		}
		n, err := s.cardinalities(ctx, sets)
		if err != nil {
			return 0, err
		}
		likes += n
	}
	return likes, nil
}

// cardinalities sums the sizes of sets; each must be what its count says.
func (s *Stage) cardinalities(ctx context.Context, sets map[string]string) (sum uint64, err error) {
	asked := make(map[string]*redis.IntCmd, len(sets))
	pipe := s.Rdb.Pipeline()
	for set := range sets {
		asked[set] = pipe.SCard(ctx, set)
	}
	if _, err := pipe.Exec(ctx); err != nil && len(sets) > 0 {
		return 0, err
	}
	for set, cmd := range asked {
		if strconv.FormatInt(cmd.Val(), 10) != sets[set] {
			return 0, fmt.Errorf("%s holds %d users, its count is %s", set, cmd.Val(), sets[set])
		}
		sum += uint64(cmd.Val())
	}
	return sum, nil
}

// StoredIn is the same for a baseline: likes by prefix of the sets, and one hash of
// counts.
func (s *Stage) StoredIn(ctx context.Context, prefix, counts string) (likes uint64, err error) {
	all, err := s.Rdb.HGetAll(ctx, counts).Result()
	if err != nil {
		return 0, err
	}
	sets := make(map[string]string, len(all))
	for item, count := range all {
		sets[prefix+item] = count
	}
	return s.cardinalities(ctx, sets)
}

// Persisted is the sum of the ledger's counts.
func (s *Stage) Persisted(ctx context.Context) (likes uint64, err error) {
	err = s.Pool.QueryRow(ctx, `SELECT coalesce(sum(count), 0)::bigint FROM item_counts`).Scan(&likes)
	return likes, err
}

// Rows is how many likes the ledger has, row by row; the sum of its counts must be
// the same.
func (s *Stage) Rows(ctx context.Context) (likes uint64, err error) {
	var sum uint64
	err = s.Pool.QueryRow(ctx, `SELECT (SELECT count(*) FROM likes WHERE liked), (SELECT coalesce(sum(count), 0)::bigint FROM item_counts)`).Scan(&likes, &sum)
	if err == nil && likes != sum {
		err = fmt.Errorf("the ledger has %d likes, and counts %d", likes, sum)
	}
	return likes, err
}

// LogLength is how many entries all logs hold.
func (s *Stage) LogLength(ctx context.Context) (n int64, err error) {
	pipe := s.Rdb.Pipeline()
	asked := make([]*redis.IntCmd, Shards)
	for shard := range asked {
		asked[shard] = pipe.XLen(ctx, key(shard, "log"))
	}
	_, err = pipe.Exec(ctx)
	for _, cmd := range asked {
		n += cmd.Val()
	}
	return n, err
}

// Drained waits until the ledger has so many likes.
func (s *Stage) Drained(ctx context.Context, likes uint64) error {
	for {
		n, err := s.Persisted(ctx)
		if err != nil || n >= likes {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the ledger has %d of %d likes: %w", n, likes, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// OpenSagas is how many likes wait for participants.
func (s *Stage) OpenSagas(ctx context.Context) (n uint64, err error) {
	err = s.Pool.QueryRow(ctx, `SELECT count(*) FROM sagas WHERE state IN ('pending', 'compensating')`).Scan(&n)
	return n, err
}

// Agreed is how many likes the ledger has that wait for no participant.
func (s *Stage) Agreed(ctx context.Context) (likes uint64, err error) {
	open, err := s.OpenSagas(ctx) // first: what comes between the two counts as agreed to too early at most
	if err != nil {
		return 0, err
	}
	likes, err = s.Persisted(ctx)
	return likes - min(open, likes), err
}
