package stage

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// RedisBytes is what Redis has allocated.
func (s *Stage) RedisBytes(ctx context.Context) (int64, error) {
	text, err := s.Rdb.Info(ctx, "memory").Result()
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(text) {
		if v, ok := strings.CutPrefix(line, "used_memory:"); ok {
			return strconv.ParseInt(strings.TrimSpace(v), 10, 64)
		}
	}
	return 0, fmt.Errorf("redis does not tell its used_memory")
}

// TableBytes is what the likes and their counts take on disk, with indexes and
// what vacuuming has left free.
func (s *Stage) TableBytes(ctx context.Context) (n int64, err error) {
	err = s.Pool.QueryRow(ctx, `SELECT pg_total_relation_size('likes') + pg_total_relation_size('item_counts')`).Scan(&n)
	return n, err
}
