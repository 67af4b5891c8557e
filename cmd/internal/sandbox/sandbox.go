// Package sandbox keeps the Redis and the Postgres of `plusone dev` under one
// data directory:
//
//	lock            held while a plusone dev uses the directory
//	redis/          append-only file and log of the private redis-server
//	postgres/       cluster, password and log of the private Postgres
//	postgres-bin/   programs that were downloaded, if they had to be
//	server-key      the development server key, readable by its owner only
//	internal-token  the token of the internal listener, the same
//	.gitignore      keeps all of it out of a repository
//
// Servers that already run on this machine are neither used nor touched. The
// directory outlives the process, however that ends; starting on it again finds
// the likes. What is not installed is replaced: Redis by one in memory, which
// loses everything at its end and says so, Postgres by programs that are
// downloaded once the person agrees.
package sandbox

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/alicebob/miniredis/v2"

	"plusone/scripts/dev/private"
)

// Options say where the sandbox is and whom to ask.
type Options struct {
	Dir    string
	Yes    bool      // downloads are agreed to
	Root   bool      // whether root runs us
	Mirror string    // a Maven repository to download from; empty: Maven Central
	In     io.Reader // answers; nil when nobody is there to be asked
	Out    io.Writer // questions and warnings
}

// Sandbox is a running sandbox.
type Sandbox struct {
	Redis, Postgres     string // URLs
	RedisIs, PostgresIs string // what they are, for people
	ServerKey           string // in plain
	InternalToken       string // in plain
	Dir                 string // absolute
	InMemory            bool   // Redis keeps nothing
	lock                *os.File
	redis               *private.Redis
	memory              *miniredis.Miniredis
	postgres            *private.Postgres
}

// Open starts the sandbox. ErrInUse: another process has the directory.
func Open(ctx context.Context, o Options) (_ *Sandbox, err error) {
	s := &Sandbox{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close(context.WithoutCancel(ctx)))
		}
	}()
	for _, step := range []func(context.Context, Options) error{s.claim, s.startRedis, s.startPostgres, s.secrets} {
		if err := step(ctx, o); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// claim makes the directory and locks it.
func (s *Sandbox) claim(_ context.Context, o Options) (err error) {
	if s.Dir, err = filepath.Abs(o.Dir); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return fmt.Errorf("data directory: %w; choose one that can be written to: --data", err)
	}
	if s.lock, err = lock(filepath.Join(s.Dir, "lock")); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(s.Dir, ".gitignore"), []byte("*\n"), 0o600); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	return nil
}

func (s *Sandbox) startRedis(ctx context.Context, o Options) (err error) {
	s.redis, err = private.StartRedis(ctx, private.RedisOptions{Dir: filepath.Join(s.Dir, "redis")})
	if errors.Is(err, private.ErrMissing) {
		return s.startMemory(o, err)
	}
	if err != nil {
		return err
	}
	s.Redis, s.RedisIs = s.redis.URL(), fmt.Sprintf("redis-server, appendfsync always (pid %d)", s.redis.Pid())
	return nil
}

func (s *Sandbox) startMemory(o Options, reason error) (err error) {
	if s.memory, err = miniredis.Run(); err != nil {
		return fmt.Errorf("in-memory Redis: %w", err)
	}
	s.Redis, s.InMemory = "redis://"+s.memory.Addr()+"/0", true
	s.RedisIs = "IN MEMORY (miniredis): LIKES THAT ARE NOT YET IN POSTGRES ARE LOST AT THE END"
	_, err = fmt.Fprintf(o.Out, "\n  WARNING: %v.\n  Redis runs in memory instead. It loses what is not yet in Postgres when plusone ends.\n\n", reason)
	return err
}

func (s *Sandbox) startPostgres(ctx context.Context, o Options) (err error) {
	po := private.PostgresOptions{Dir: filepath.Join(s.Dir, "postgres"), Bin: downloaded(s.Dir)}
	s.postgres, err = private.StartPostgres(ctx, po)
	if errors.Is(err, private.ErrMissing) {
		if po.Bin, err = download(s.Dir, o, err); err != nil {
			return err
		}
		s.postgres, err = private.StartPostgres(ctx, po)
	}
	if err != nil {
		return err
	}
	s.Postgres, s.PostgresIs = s.postgres.URL(), fmt.Sprintf("%s (pid %d)", s.postgres.Program(), s.postgres.Pid())
	return nil
}

func (s *Sandbox) secrets(context.Context, Options) (err error) {
	if s.ServerKey, err = secret(filepath.Join(s.Dir, "server-key")); err != nil {
		return err
	}
	s.InternalToken, err = secret(filepath.Join(s.Dir, "internal-token"))
	return err
}

// secret reads the secret kept at path, and makes it the first time. It is
// written aside and renamed: a file that is there is whole.
func secret(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err == nil {
		return strings.TrimSpace(string(b)), nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("read a secret: %w", err)
	}
	text := rand.Text() + rand.Text()
	if err := os.WriteFile(path+".new", []byte(text+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("keep a secret: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return "", fmt.Errorf("keep a secret: %w", err)
	}
	return text, nil
}

// Watch waits until ctx ends, or tells which server has ended by itself.
func (s *Sandbox) Watch(ctx context.Context) error {
	var redisEnded <-chan struct{} // never, when it is in memory
	if s.redis != nil {
		redisEnded = s.redis.Ended()
	}
	select {
	case <-ctx.Done():
		return nil
	case <-redisEnded:
		return fmt.Errorf("the private Redis has ended; its log is in %s", filepath.Join(s.Dir, "redis"))
	case <-s.postgres.Ended():
		return fmt.Errorf("the private Postgres has ended; its log is in %s", filepath.Join(s.Dir, "postgres"))
	}
}

// Close stops what Open started, and nothing else, and frees the directory.
// Servers that do not end before ctx does are killed.
func (s *Sandbox) Close(ctx context.Context) error {
	var errs []error
	if s.redis != nil {
		errs = append(errs, s.redis.Stop(ctx))
	}
	if s.memory != nil {
		s.memory.Close()
	}
	if s.postgres != nil {
		errs = append(errs, s.postgres.Stop(ctx))
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}
