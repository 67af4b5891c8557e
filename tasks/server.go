package tasks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"plusone/hotpath/like"
)

// awayTime is for how long doorbells do not try again after a store was away.
// Retry tasks do, so this bounds how long doorbells can pile up behind calls
// that hang, not how soon a store is found again.
const awayTime = time.Second

// ServerOptions are the settings of a worker.
type ServerOptions struct {
	Concurrency     int           // tasks at once; at least 1
	ShutdownTimeout time.Duration // for tasks in flight at shutdown
	Notify          asynq.Handler // of tasks of TypeNotify; nil: this worker runs none
}

// Server is a worker: it runs drains, and deliveries when there are any.
type Server struct {
	asynq   *asynq.Server
	mux     *asynq.ServeMux
	drainer *Drainer
	bell    *Bell
	born    time.Time    // the zero of away, so that a clock that is set does not matter
	away    atomic.Int64 // nanoseconds since born until which doorbells rest
}

// NewServer returns a worker over rdb, which stays the caller's to close.
func NewServer(rdb redis.UniversalClient, d *Drainer, bell *Bell, o ServerOptions) *Server {
	queues := map[string]int{QueueDrain: 3}
	s := &Server{mux: asynq.NewServeMux(), drainer: d, bell: bell, born: time.Now()}
	s.mux.HandleFunc(TypeDrain, s.drain)
	if o.Notify != nil {
		queues[QueueNotify] = 1
		s.mux.Handle(TypeNotify, o.Notify)
	}
	s.asynq = asynq.NewServerFromRedisClient(rdb, asynq.Config{
		Concurrency: o.Concurrency,
		Queues:      queues,
		// asynq polls: this is a third of the idle latency of a like's way, for
		// some 100 cheap commands a second.
		TaskCheckInterval:        25 * time.Millisecond,
		DelayedTaskCheckInterval: time.Second,
		RetryDelayFunc:           retryDelay,
		IsFailure:                isFailure,
		ShutdownTimeout:          o.ShutdownTimeout,
		Logger:                   asynqLog{},
		LogLevel:                 asynq.WarnLevel,
	})
	return s
}

// Run works until ctx ends, then waits for the tasks in flight; those that
// outlast ShutdownTimeout are cancelled and go back into their queue.
func (s *Server) Run(ctx context.Context) error {
	if err := s.asynq.Start(s.mux); err != nil {
		return fmt.Errorf("start the worker: %w", err)
	}
	<-ctx.Done()
	s.asynq.Shutdown()
	return nil
}

// drain handles a task of TypeDrain. Only the shard's retry task fails, so that
// the dashboard shows one failing task per shard; a doorbell hands over to it.
func (s *Server) drain(ctx context.Context, t *asynq.Task) error {
	shard, err := shardOf(t, s.drainer.log.Shards())
	if err != nil {
		return fmt.Errorf("%w: %w", asynq.RevokeTask, err)
	}
	id, _ := asynq.GetTaskID(ctx)
	retry := strings.HasSuffix(id, ":"+retryID)
	if !retry && int64(time.Since(s.born)) < s.away.Load() {
		return s.handOver(ctx, shard, nil)
	}
	err = s.drainer.Drain(ctx, shard)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrUnfinished):
		s.bell.Later(shard)
		return nil
	case errors.Is(err, like.ErrUnavailable):
		s.away.Store(int64(time.Since(s.born) + awayTime))
	}
	if retry {
		return err
	}
	return s.handOver(ctx, shard, err)
}

// handOver ends a doorbell that could not drain. When not even the retry task
// can be left, the next sweep rings.
func (s *Server) handOver(ctx context.Context, shard int, why error) error {
	if why != nil {
		slog.WarnContext(ctx, "a drain failed and will be retried", "shard", shard, "error", why)
	}
	if err := s.bell.retryLater(context.WithoutCancel(ctx), shard); err != nil {
		return fmt.Errorf("%w: leave a retry of shard %d: %w", asynq.RevokeTask, shard, err)
	}
	return nil
}

// retryDelay is 1, 2, 4, 8, then 15 s.
func retryDelay(failed int, _ error, _ *asynq.Task) time.Duration {
	return min(time.Second<<min(failed, 4), 15*time.Second)
}

// isFailure: a worker that was killed says nothing about its task.
func isFailure(err error) bool {
	return err != nil && !errors.Is(err, asynq.ErrLeaseExpired) && !errors.Is(err, context.Canceled)
}

// asynqLog hands asynq's messages to slog.
type asynqLog struct{}

func (asynqLog) Debug(args ...any) { slog.Debug("asynq: " + fmt.Sprint(args...)) }
func (asynqLog) Info(args ...any)  { slog.Info("asynq: " + fmt.Sprint(args...)) }
func (asynqLog) Warn(args ...any)  { slog.Warn("asynq: " + fmt.Sprint(args...)) }
func (asynqLog) Error(args ...any) { slog.Error("asynq: " + fmt.Sprint(args...)) }
func (asynqLog) Fatal(args ...any) { slog.Error("asynq: " + fmt.Sprint(args...)) }
