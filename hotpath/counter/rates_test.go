package counter

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"plusone/hotpath/like"
)

func newRates(t *testing.T, addr string) (*Rates, *redis.Client) {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1})
	t.Cleanup(func() { _ = rdb.Close() })
	return NewRates(rdb, 4), rdb
}

func TestASharedBucketAddsUpWhatAllHaveSpent(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		a, rdb := newRates(t, addr)
		b, _ := newRates(t, addr)
		spend := func(r *Rates, spent time.Duration) time.Duration {
			levels, err := r.Spend(t.Context(), []string{"x", "y"}, []time.Duration{spent, 0}, []time.Duration{time.Hour, time.Hour})
			ok(t, err)
			if len(levels) != 2 || levels[1] != 0 {
				t.Fatalf("levels %v", levels)
			}
			return levels[0]
		}
		about := func(got, want time.Duration) {
			t.Helper()
			if got > want || got < want-5*time.Second { // it fills meanwhile
				t.Errorf("full in %v, want %v", got, want)
			}
		}
		about(spend(a, 10*time.Minute), 10*time.Minute)
		about(spend(b, 20*time.Minute), 30*time.Minute)
		about(spend(a, 0), 30*time.Minute)
		about(spend(b, 50*time.Minute), time.Hour) // never further than its depth
		keys, err := rdb.Keys(t.Context(), "*").Result()
		ok(t, err)
		if len(keys) != 1 || keys[0] != fmt.Sprintf("p1:{%d}:rate:x", ShardOf("x", 4)) {
			t.Fatalf("keys %q", keys)
		}
		if ttl := rdb.PTTL(t.Context(), keys[0]).Val(); ttl <= 59*time.Minute || ttl > time.Hour+time.Second {
			t.Errorf("it ends in %v", ttl)
		}
	})
}

func TestManySharedBucketsKeepTheirPlaces(t *testing.T) {
	r, rdb := newRates(t, realRig(t, Options{}).rdb.Options().Addr)
	var names []string
	var spent, depths []time.Duration
	for i := range 1000 {
		names, spent, depths = append(names, fmt.Sprint("n", i)), append(spent, time.Duration(i)*time.Minute), append(depths, 24*time.Hour)
	}
	for range 2 { // with and without the script in Redis' cache
		levels, err := r.Spend(t.Context(), names, spent, depths)
		ok(t, err)
		for i, level := range levels {
			if level < spent[i]-time.Minute || level > 2*spent[i]+time.Minute {
				t.Fatalf("bucket %d is full in %v", i, level)
			}
		}
		if rdb.Exists(t.Context(), fmt.Sprintf("p1:{%d}:rate:n0", ShardOf("n0", 4))).Val() != 0 {
			t.Error("a full bucket is kept")
		}
	}
}

func TestRatesSayWhenRedisIsAway(t *testing.T) {
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1, DialerRetries: 1})
	defer func() { _ = rdb.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := NewRates(rdb, 4).Spend(ctx, []string{"x"}, []time.Duration{1}, []time.Duration{1}); !errors.Is(err, like.ErrUnavailable) {
		t.Errorf("%v", err)
	}
}
