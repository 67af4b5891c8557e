package baseline

import (
	"context"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"plusone/scripts/dev/private/privatetest"
)

func TestMain(m *testing.M) { privatetest.Main(m) }

// Everybody likes a few items at once, and twice.
const (
	items = 3
	users = 8
)

func everybodyLikes(ctx context.Context, like func(ctx context.Context, item, user string) (int64, error)) error {
	all, ctx := errgroup.WithContext(ctx)
	for user := range users {
		all.Go(func() error {
			for n := range 2 * items {
				count, err := like(ctx, fmt.Sprint("item", n%items), fmt.Sprint("user", user))
				if err != nil || count < 1 || count > users {
					return fmt.Errorf("count %d: %w", count, err)
				}
			}
			return nil
		})
	}
	return all.Wait()
}

func TestABaselineCountsEachUserOnce(t *testing.T) {
	for _, name := range []string{"pg-insert", "pg-lock", "pg-optimistic", "saga-http", "eval", "eval-auto", "eval-asynq"} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			s, o := &server{}, Options{}
			if name[:4] == "eval" {
				o.RedisURL = privatetest.Redis(t).URL()
			} else {
				o.PostgresURL = privatetest.Postgres(t)
			}
			if err := s.open(ctx, o); err != nil {
				t.Fatal(err)
			}
			defer s.close()
			if err := servers[name](ctx, o, s); err != nil {
				t.Fatal(err)
			}
			if err := everybodyLikes(ctx, s.like); err != nil {
				t.Fatal(err)
			}
			if s.pool != nil {
				var rows, sum int
				if err := s.pool.QueryRow(ctx, CountedSQL).Scan(&rows, &sum); err != nil || rows != items*users || sum != rows {
					t.Errorf("%d rows, counts of %d: %v", rows, sum, err)
				}
				return
			}
			for item := range items {
				name := fmt.Sprint("item", item)
				n, err := s.rdb.HGet(ctx, CountsKey, name).Int()
				if in := s.rdb.SCard(ctx, LikersPrefix+name).Val(); err != nil || n != users || in != users {
					t.Errorf("%s: %d users, count %d: %v", name, in, n, err)
				}
			}
		})
	}
}

func TestASagaTakesItsLikeBackWhenPointsFail(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, o := &server{}, Options{PostgresURL: privatetest.Postgres(t)}
	if err := s.open(ctx, o); err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if err := sagaHTTP(ctx, o, s); err != nil {
		t.Fatal(err)
	}
	if _, err := s.pool.Exec(ctx, `DROP TABLE base_points`); err != nil {
		t.Fatal(err)
	}
	if _, err := s.like(ctx, "item", "user"); err == nil {
		t.Fatal("a saga without points succeeded")
	}
	var rows, sum int
	if err := s.pool.QueryRow(ctx, CountedSQL).Scan(&rows, &sum); err != nil || rows != 0 || sum != 0 {
		t.Errorf("%d rows, counts of %d: %v", rows, sum, err)
	}
}
