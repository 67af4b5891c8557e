package example

import (
	"context"
	"errors"
	"hash/fnv"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"plusone/tasks/barrier"
	"plusone/tasks/barrier/redisbarrier"
)

const (
	pointsBuckets = 16                  // users are spread over so many hashes, so that ops share calls and slots share load
	pointsMemory  = 30 * 24 * time.Hour // of sagas
)

// points is what a like gives and an unlike takes. HINCRBY comes last and alone: it
// is the only write, and what it may refuse, a value that is no number, it refuses
// before it changes anything.
var points = redisbarrier.Work{
	Keys: func(op barrier.Op) []string { return []string{pointsKey(op.User)} },
	Try: `
		local points = tonumber(redis.call('HGET', key[1], op.user) or 0)
		if op.liked and points >= 100 then return 'the user has 100 points' end
		redis.call('HINCRBY', key[1], op.user, op.liked and 1 or -1)`,
	Compensate: `
		redis.call('HINCRBY', key[1], op.user, op.liked and -1 or 1)`,
}

func pointsKey(user string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(user))
	return "points:{" + strconv.Itoa(int(h.Sum32()%pointsBuckets)) + "}"
}

// Points gives points for likes.
type Points struct {
	rdb     redis.UniversalClient
	barrier *redisbarrier.Barrier
}

// NewPoints keeps its books in rdb.
func NewPoints(rdb redis.UniversalClient) *Points {
	return &Points{rdb, redisbarrier.New("points", pointsMemory, points)}
}

// Do is a barrier.Do.
func (p *Points) Do(ctx context.Context, step barrier.Step, ops []barrier.Op) ([]barrier.Answer, error) {
	return p.barrier.Do(ctx, p.rdb, step, ops)
}

// Of is how many points a user has.
func (p *Points) Of(ctx context.Context, user string) (int64, error) {
	n, err := p.rdb.HGet(ctx, pointsKey(user), user).Int64()
	if errors.Is(err, redis.Nil) {
		return 0, nil
	}
	return n, err
}
