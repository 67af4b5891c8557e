package tasks

import (
	"context"
	"sync"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// clientLife is for how long one asynq client is used.
const clientLife = 30 * time.Second

// Queue enqueues tasks over a client that it does not own. An asynq client
// registers the name of a queue once in its life, so after a FLUSHALL the
// dashboard would know no queue any more: a Queue takes a new client every 30 s,
// which costs nothing, since all share their connections. It is safe for
// concurrent use.
type Queue struct {
	rdb redis.UniversalClient

	mu     sync.Mutex
	client *asynq.Client
	until  time.Time
}

// NewQueue returns a Queue over rdb, which stays the caller's to close.
func NewQueue(rdb redis.UniversalClient) *Queue { return &Queue{rdb: rdb} }

func (q *Queue) enqueue(ctx context.Context, t *asynq.Task, opts ...asynq.Option) error {
	_, err := q.fresh(time.Now()).EnqueueContext(ctx, t, opts...)
	return err
}

func (q *Queue) fresh(now time.Time) *asynq.Client {
	q.mu.Lock()
	defer q.mu.Unlock()
	if now.After(q.until) {
		q.client, q.until = asynq.NewClientFromRedisClient(q.rdb), now.Add(clientLife)
	}
	return q.client
}
