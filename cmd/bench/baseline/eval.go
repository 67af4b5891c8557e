package baseline

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// Where the baselines on Redis keep their likes: a set per item and one hash.
const (
	LikersPrefix = "likers:"
	CountsKey    = "counts"
)

// EvalText likes an item once per user and returns its count.
const EvalText = `
if redis.call('SADD', KEYS[1], ARGV[1]) == 1 then return redis.call('HINCRBY', KEYS[2], ARGV[2], 1) end
return tonumber(redis.call('HGET', KEYS[2], ARGV[2]))`

// evaluator runs scripts: a client, or its pipelines.
type evaluator interface {
	EvalSha(ctx context.Context, sha string, keys []string, args ...any) *redis.Cmd
}

// eval is what a like costs one EVALSHA.
func eval(ctx context.Context, _ Options, s *server) error { return s.evalThrough(ctx, s.rdb) }

func evalAuto(ctx context.Context, _ Options, s *server) error {
	pipelines, err := s.rdb.AutoPipeline()
	if err != nil {
		return err
	}
	return s.evalThrough(ctx, pipelines)
}

func (s *server) evalThrough(ctx context.Context, e evaluator) error {
	sha, err := s.rdb.ScriptLoad(ctx, EvalText).Result()
	if err != nil {
		return err
	}
	s.like = func(ctx context.Context, item, user string) (int64, error) {
		return e.EvalSha(ctx, sha, []string{LikersPrefix + item, CountsKey}, user, item).Int64()
	}
	return nil
}

// The task of one like.
const (
	taskLike  = "like"
	taskQueue = "likes"
)

// evalAsynq answers once the like is in Redis and its task is queued.
func evalAsynq(ctx context.Context, _ Options, s *server) error {
	if err := s.evalThrough(ctx, s.rdb); err != nil {
		return err
	}
	tasks, once := asynq.NewClientFromRedisClient(s.rdb), s.like
	s.like = func(ctx context.Context, item, user string) (int64, error) {
		count, err := once(ctx, item, user)
		if err != nil {
			return 0, err
		}
		_, err = tasks.EnqueueContext(ctx, asynq.NewTask(taskLike, []byte(item+" "+user)), asynq.Queue(taskQueue), asynq.MaxRetry(100))
		return count, err
	}
	return nil
}

// workers are the tasks that asynq runs at once.
const workers = 32

func asynqWorker(ctx context.Context, o Options, s *server) error {
	if err := pgInsert(ctx, o, s); err != nil {
		return err
	}
	into := s.like
	s.like = nil
	worker := asynq.NewServerFromRedisClient(s.rdb, asynq.Config{
		Concurrency: workers, Queues: map[string]int{taskQueue: 1}, LogLevel: asynq.FatalLevel, TaskCheckInterval: taskCheck,
	})
	s.run = func(ctx context.Context) error {
		err := worker.Start(asynq.HandlerFunc(func(ctx context.Context, t *asynq.Task) error {
			item, user, ok := strings.Cut(string(t.Payload()), " ")
			if !ok {
				return fmt.Errorf("a payload that is no like: %w", asynq.SkipRetry)
			}
			_, err := into(ctx, item, user)
			return err
		}))
		if err != nil {
			return errors.Join(errors.New("asynq"), err)
		}
		<-ctx.Done()
		worker.Shutdown()
		return nil
	}
	return nil
}
