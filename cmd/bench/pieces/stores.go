package pieces

import (
	"context"
	"errors"
	"sync"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"plusone/cmd/bench/baseline"
	"plusone/cmd/bench/load"
	"plusone/cmd/bench/stage"
	"plusone/hotpath/counter"
	"plusone/hotpath/like"
)

// batch is how many likes go to Redis at once where batches are compared.
const batch = 256

// writers are n sources of likes over items; apart, no two share an item.
func (l *Lab) writers(n, items int, spread load.Spread, apart bool) []baseline.Source {
	names := make([]string, items)
	for i := range names {
		names[i] = load.Item(i)
	}
	all := make([]baseline.Source, n)
	for w := range all {
		next, user := load.Items(items, spread, l.Seed+uint64(w)), uint64(1e9)+uint64(w)*1e8
		all[w] = func(k int) []baseline.Pair {
			likes := make([]baseline.Pair, 0, k)
			for len(likes) < k {
				item := next()
				if apart && item%n != w {
					continue
				}
				likes = append(likes, baseline.Pair{Item: names[item], User: load.User(user, false)})
				user++
			}
			return likes
		}
	}
	return all
}

// rawRedis is the limit of Redis.
func rawRedis(items int, spread load.Spread) func(context.Context, *Lab) (Figures, error) {
	return func(ctx context.Context, l *Lab) (Figures, error) {
		return l.raw(ctx, stage.Needs{Redis: "everysec"}, func(s *stage.Stage) (uint64, error) {
			return baseline.Raw(ctx, s.Rdb, l.time(), l.writers(4, items, spread, false), batch)
		}, func(s *stage.Stage) (uint64, error) {
			return s.StoredIn(ctx, baseline.LikersPrefix, baseline.CountsKey)
		})
	}
}

// script is plusone's script, in calls of batch likes each, through the counter
// that the API uses.
func script(items int, spread load.Spread) func(context.Context, *Lab) (Figures, error) {
	return func(ctx context.Context, l *Lab) (Figures, error) {
		return l.raw(ctx, stage.Needs{Redis: "everysec"}, func(s *stage.Stage) (uint64, error) {
			o, err := redis.ParseURL(s.Redis.URL())
			if err != nil {
				return 0, err
			}
			c, err := counter.New(redis.UniversalOptions{Addrs: []string{o.Addr}}, nothing{}, counter.Options{Shards: stage.Shards})
			if err != nil {
				return 0, err
			}
			n, err := l.apply(ctx, c, l.writers(4, items, spread, false))
			return n, errors.Join(err, c.Close(ctx))
		}, func(s *stage.Stage) (uint64, error) { return s.Stored(ctx) })
	}
}

// apply lets four callers gather batches of one shard each, and apply them.
func (l *Lab) apply(ctx context.Context, c *counter.Counter, writers []baseline.Source) (total uint64, err error) {
	var mu sync.Mutex
	ctx, cancel := context.WithTimeout(ctx, l.time()+stageTime)
	defer cancel()
	end := after(l.time())
	callers, ctx := errgroup.WithContext(ctx)
	for _, next := range writers {
		callers.Go(func() error {
			waiting := make([][]like.Op, stage.Shards)
			results := make([]like.Result, batch)
			for !end() {
				for _, p := range next(batch) {
					shard := counter.ShardOf(p.Item, stage.Shards)
					ops := append(waiting[shard], like.Op{Item: p.Item, User: p.User, Want: like.Liked})
					if len(ops) == batch {
						if err := applied(ctx, c, ops, results); err != nil {
							return err
						}
						mu.Lock()
						total += batch
						mu.Unlock()
						ops = ops[:0]
					}
					waiting[shard] = ops
				}
			}
			return nil
		})
	}
	err = callers.Wait()
	return total, err
}

func applied(ctx context.Context, c *counter.Counter, ops []like.Op, results []like.Result) error {
	if err := c.Apply(ctx, ops, results); err != nil {
		return err
	}
	for i := range results {
		if results[i].Err != nil || !results[i].Changed {
			return errors.Join(errors.New("a like was not applied"), results[i].Err)
		}
	}
	return nil
}

// nothing is a ledger without likes.
type nothing struct{}

// Settled implements counter.Source.
func (nothing) Settled(context.Context, int, int) (known like.Bounds, err error) {
	return known, nil
}

// Counts implements counter.Source.
func (nothing) Counts(_ context.Context, items, _ []string) ([]like.Reading, error) {
	all := make([]like.Reading, len(items))
	for i, item := range items {
		all[i].Item = item
	}
	return all, nil
}

// Sizes implements counter.Source.
func (nothing) Sizes(_ context.Context, items []string) ([]like.Size, error) {
	return make([]like.Size, len(items)), nil
}

// Votes implements counter.Source.
func (nothing) Votes(_ context.Context, items, _ []string, _ []int) ([]like.VoteState, []like.Version, error) {
	return make([]like.VoteState, len(items)), make([]like.Version, len(items)), nil
}

// LoadLikers implements counter.Source.
func (nothing) LoadLikers(context.Context, []string, int, func(string, []string) error) error {
	return nil
}

// Freezes implements counter.Source.
func (nothing) Freezes(context.Context, int, int, int64, int) ([]like.Freeze, error) { return nil, nil }

// The shape of raw upserts that was the fastest on two cores.
const (
	upsertWriters = 2
	upsertBatch   = 4000
)

func upsert(indexes bool) func(context.Context, *Lab) (Figures, error) {
	return func(ctx context.Context, l *Lab) (Figures, error) {
		return l.raw(ctx, stage.Needs{Postgres: true}, func(s *stage.Stage) (uint64, error) {
			return baseline.Upsert(ctx, s.Pool, l.time(), l.writers(upsertWriters, l.Items, load.LogUniform, true), upsertBatch, indexes)
		}, func(s *stage.Stage) (uint64, error) { return baseCounted(ctx, s, baseline.UpsertedSQL) })
	}
}

func copied(ctx context.Context, l *Lab) (Figures, error) {
	return l.raw(ctx, stage.Needs{Postgres: true}, func(s *stage.Stage) (uint64, error) {
		return baseline.Copy(ctx, s.Pool, l.time(), l.writers(upsertWriters, l.Items, load.LogUniform, false), upsertBatch)
	}, func(s *stage.Stage) (n uint64, err error) {
		return n, s.Pool.QueryRow(ctx, `SELECT count(*) FROM raw_copied`).Scan(&n)
	})
}
