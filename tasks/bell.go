package tasks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"sync"
	"time"

	"github.com/hibiken/asynq"
	"github.com/prometheus/client_golang/prometheus"
)

// The asynq names of drains.
const (
	TypeDrain  = "drain"
	QueueDrain = "drain"
)

const (
	// ringBucket is how often a shard is rung at most, over all processes: the
	// bucket is part of the task's id.
	ringBucket = 100 * time.Millisecond
	// ringTime bounds one enqueueing.
	ringTime = 2 * time.Second
	// drainTaskTime is when asynq gives a drain up; a Drainer ends long before.
	drainTaskTime = 2 * time.Minute
)

// Bell rings for shards whose log has something new: an asynq task per shard
// and 100 ms. Ring only notes the shard; Run, one goroutine, does the I/O. A
// ring that is lost costs a second, until the next sweep.
type Bell struct {
	queue   *Queue
	results *prometheus.CounterVec
	wake    chan struct{} // holds one: "something may be pending"

	mu      sync.Mutex
	pending map[int]struct{}
	rung    map[int]int64 // the bucket in which a shard was rung last
}

// NewBell returns a Bell that enqueues through queue and registers
// plusone_doorbells_total.
func NewBell(queue *Queue, reg prometheus.Registerer) *Bell {
	b := &Bell{
		queue: queue,
		results: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "plusone_doorbells_total",
			Help: "Doorbells by result: rung, waiting (one is there already) or failed.",
		}, []string{"result"}),
		wake:    make(chan struct{}, 1),
		pending: map[int]struct{}{},
		rung:    map[int]int64{},
	}
	reg.MustRegister(b.results)
	return b
}

// Ring asks for drains of shards. It never blocks.
func (b *Bell) Ring(shards ...int) {
	b.mu.Lock()
	for _, s := range shards {
		b.pending[s] = struct{}{}
	}
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// Run rings until ctx ends. A shard that was rung in this bucket already is rung
// again in the next: the drain that the first ring caused may be over.
func (b *Bell) Run(ctx context.Context) error {
	for {
		bucket := time.Now().UnixNano() / int64(ringBucket)
		due, more := b.take(bucket)
		for _, shard := range due {
			b.ring(ctx, shard, bucket)
		}
		var next <-chan time.Time
		if more {
			next = time.After(time.Until(time.Unix(0, (bucket+1)*int64(ringBucket))))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-b.wake:
		case <-next:
		}
	}
}

// take removes the pending shards that were not rung in bucket, and tells
// whether others stay.
func (b *Bell) take(bucket int64) (due []int, more bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for s := range b.pending {
		if b.rung[s] == bucket {
			continue
		}
		delete(b.pending, s)
		b.rung[s] = bucket
		due = append(due, s)
	}
	return due, len(b.pending) > 0
}

func (b *Bell) ring(ctx context.Context, shard int, bucket int64) {
	id := drainID(shard, strconv.FormatInt(bucket, 10))
	err := b.enqueue(ctx, shard, asynq.TaskID(id))
	switch {
	case err == nil:
		b.results.WithLabelValues("rung").Inc()
	case errors.Is(err, asynq.ErrTaskIDConflict):
		b.results.WithLabelValues("waiting").Inc()
	default:
		b.results.WithLabelValues("failed").Inc()
		slog.DebugContext(ctx, "ring for a drain", "shard", shard, "error", err)
	}
}

// retryLater leaves the one retry task of a shard, unless it is there already.
func (b *Bell) retryLater(ctx context.Context, shard int) error {
	err := b.enqueue(ctx, shard, asynq.TaskID(drainID(shard, retryID)), asynq.ProcessIn(retryDelay(0, nil, nil)))
	if errors.Is(err, asynq.ErrTaskIDConflict) {
		return nil
	}
	return err
}

// enqueue gives tasks a practically endless number of retries: asynq archives a
// task that has none left, and an archived task blocks its id.
func (b *Bell) enqueue(ctx context.Context, shard int, opts ...asynq.Option) error {
	ctx, cancel := context.WithTimeout(ctx, ringTime)
	defer cancel()
	payload, err := json.Marshal(drainPayload{Shard: &shard})
	if err != nil {
		return err
	}
	opts = append(opts, asynq.Queue(QueueDrain), asynq.MaxRetry(math.MaxInt32), asynq.Timeout(drainTaskTime))
	return b.queue.enqueue(ctx, asynq.NewTask(TypeDrain, payload), opts...)
}

// retryID is the last part of a retry task's id, where a doorbell has its bucket.
const retryID = "retry"

func drainID(shard int, last string) string {
	return TypeDrain + ":" + strconv.Itoa(shard) + ":" + last
}

// drainPayload is what the dashboard shows of a drain.
type drainPayload struct {
	Shard *int `json:"shard"`
}

// shardOf reads a task's payload.
func shardOf(t *asynq.Task, shards int) (int, error) {
	var p drainPayload
	if err := json.Unmarshal(t.Payload(), &p); err != nil {
		return 0, fmt.Errorf("read a drain's payload: %w", err)
	}
	if p.Shard == nil || *p.Shard < 0 || *p.Shard >= shards {
		return 0, fmt.Errorf("a drain's payload %q names none of %d shards", t.Payload(), shards)
	}
	return *p.Shard, nil
}
