package tasks

import (
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"plusone/scripts/dev/private/privatetest"
)

func TestAfterFlushallTheDashboardKnowsTheQueueAgain(t *testing.T) {
	o, err := redis.ParseURL(privatetest.Redis(t).URL())
	if err != nil {
		t.Fatal(err)
	}
	rdb := redis.NewClient(o)
	t.Cleanup(func() { _ = rdb.Close() })
	q := NewQueue(rdb)
	ring := func() []string {
		if err := q.enqueue(t.Context(), asynq.NewTask(TypeDrain, nil), asynq.Queue(QueueDrain)); err != nil {
			t.Fatal(err)
		}
		known, err := asynq.NewInspectorFromRedisClient(rdb).Queues()
		if err != nil {
			t.Fatal(err)
		}
		return known
	}
	if known := ring(); len(known) != 1 {
		t.Fatalf("known at first: %v", known)
	}
	if err := rdb.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	if known := ring(); len(known) != 0 {
		t.Fatalf("asynq registers its queues again by itself (%v): Queue is not needed any more", known)
	}
	q.fresh(time.Now().Add(2 * clientLife)) // the half minute is over
	if known := ring(); len(known) != 1 {
		t.Errorf("known after a while: %v", known)
	}
}
