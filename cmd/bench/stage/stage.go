package stage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"plusone/scripts/dev/private"
)

// Needs says what a stage has.
type Needs struct {
	Redis    string // appendfsync; "" is no Redis
	Postgres bool
}

// Stage is a Redis and a database, both empty, and processes on them. Its methods
// are for one goroutine.
type Stage struct {
	Redis       *private.Redis
	Rdb         *redis.Client
	Pool        *pgxpool.Pool
	PostgresURL string
	Hall        *Hall

	name  string
	dir   string
	procs []*Process
}

// New opens a stage.
func (h *Hall) New(ctx context.Context, n Needs) (*Stage, error) {
	s := &Stage{Hall: h, name: h.next()}
	s.dir = filepath.Join(h.dir, s.name)
	err := os.MkdirAll(s.dir, 0o755)
	if err == nil && n.Redis != "" {
		err = s.startRedis(ctx, n.Redis)
	}
	if err == nil && n.Postgres {
		err = s.makeDatabase(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", s.name, err), s.Close())
	}
	return s, nil
}

func (s *Stage) startRedis(ctx context.Context, fsync string) (err error) {
	s.Redis, err = private.StartRedis(ctx, private.RedisOptions{Dir: filepath.Join(s.dir, "redis"), AppendFsync: fsync})
	if err != nil {
		return err
	}
	o, err := redis.ParseURL(s.Redis.URL())
	if err != nil {
		return err
	}
	s.Rdb = redis.NewClient(o)
	return nil
}

func (s *Stage) makeDatabase(ctx context.Context) (err error) {
	if err := s.Hall.execute(ctx, "CREATE DATABASE "+s.name+" TEMPLATE "+template); err != nil {
		return err
	}
	s.PostgresURL = s.Hall.database(s.name)
	s.Pool, err = pgxpool.New(ctx, s.PostgresURL)
	return err
}

// Close ends the processes, the last one first, and removes everything.
func (s *Stage) Close() error {
	var errs []error
	for i := len(s.procs) - 1; i >= 0; i-- {
		errs = append(errs, s.procs[i].stop())
	}
	if s.Rdb != nil {
		errs = append(errs, s.Rdb.Close())
	}
	if s.Redis != nil {
		s.Redis.Kill()
	}
	if s.Pool != nil {
		s.Pool.Close()
	}
	if s.PostgresURL != "" {
		ctx, cancel := context.WithTimeout(context.Background(), endTime)
		defer cancel()
		errs = append(errs, s.Hall.execute(ctx, "DROP DATABASE IF EXISTS "+s.name+" WITH (FORCE)"))
	}
	return errors.Join(append(errs, os.RemoveAll(s.dir))...)
}
