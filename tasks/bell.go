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
	// busyChanges is how many calls of Changed within a bucket make a shard busy. A
	// busy one is rung every busyBuckets buckets: five times as many likes in a
	// transaction halve what each costs Postgres and the worker.
	busyChanges = 4
	busyBuckets = 5
	// ringTime bounds one enqueueing.
	ringTime = 2 * time.Second
	// drainTaskTime is when asynq gives a drain up; a Drainer ends long before.
	drainTaskTime = 2 * time.Minute
)

// Bell rings for shards whose log has something new: an asynq task per shard
// and 100 ms, or 500 ms while a shard is busy. Ring, Changed and Later only note
// the shard; Run, one goroutine, does the I/O. A ring that is lost costs a second
// or two, until after the next sweep.
type Bell struct {
	queue   *Queue
	results *prometheus.CounterVec
	wake    chan struct{} // holds one: "something may be pending"

	mu      sync.Mutex
	pending map[int]ask
	rung    map[int]int64 // the bucket in which a shard was rung last
}

// ask is what a shard is to be rung for.
type ask struct {
	changes int
	now     bool // or as soon as a bucket allows, however busy
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
		pending: map[int]ask{},
		rung:    map[int]int64{},
	}
	reg.MustRegister(b.results)
	return b
}

// Ring asks for drains of shards that somebody waits for. It never blocks.
func (b *Bell) Ring(shards ...int) {
	for _, s := range shards {
		b.note(s, ask{now: true})
	}
}

// Changed says that a shard's log has grown, and asks for a drain: soon, or with
// what else comes when it is called often. It never blocks.
func (b *Bell) Changed(shard int) { b.note(shard, ask{changes: 1}) }

// Later asks for a drain of a shard that is busy. It never blocks.
func (b *Bell) Later(shard int) { b.note(shard, ask{changes: busyChanges}) }

// note wakes Run for what is new to it; for the rest it has its timer.
func (b *Bell) note(shard int, a ask) {
	b.mu.Lock()
	old, there := b.pending[shard]
	b.pending[shard] = ask{changes: old.changes + a.changes, now: old.now || a.now}
	b.mu.Unlock()
	if there && (old.now || !a.now) {
		return
	}
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

// take removes the pending shards that may be rung in bucket, and tells whether
// others stay.
func (b *Bell) take(bucket int64) (due []int, more bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for s, a := range b.pending {
		last := b.rung[s]
		if last == bucket || a.busy() && turn(s, last) == turn(s, bucket) {
			continue
		}
		delete(b.pending, s)
		b.rung[s] = bucket
		due = append(due, s)
	}
	return due, len(b.pending) > 0
}

func (a ask) busy() bool { return !a.now && a.changes >= busyChanges }

// turn is the period of a busy shard that bucket is in: the same in all processes,
// so that they ring for it together, and another for the next shard, so that not
// all drains run at once.
func turn(shard int, bucket int64) int64 { return (bucket + int64(shard)) / busyBuckets }

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
