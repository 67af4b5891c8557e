package counter

import (
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/sony/gobreaker/v2"
)

// breaker decides whether Redis is there for this process: it opens with the
// third failure in a row, and closes when two probes in a row have succeeded.
type breaker struct {
	two  *gobreaker.TwoStepCircuitBreaker[struct{}]
	open atomic.Bool // open or half-open; read on the way of each op
}

// newBreaker calls changed when it opens or closes. changed must not block.
func newBreaker(changed func()) *breaker {
	b := &breaker{}
	b.two = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		MaxRequests: 2,
		Timeout:     time.Second,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= 3 },
		OnStateChange: func(_ string, _, to gobreaker.State) {
			b.open.Store(to != gobreaker.StateClosed)
			changed()
		},
	})
	return b
}

func (b *breaker) isOpen() bool { return b.open.Load() }

// exchanged tells what came of an exchange with Redis. While the breaker is open
// nobody asks it; half-open, only probes are counted, because nobody sends
// anything else.
func (b *breaker) exchanged(err error) {
	if done, refused := b.two.Allow(); refused == nil {
		done(err)
	}
}

// state is 0 closed, 1 half-open, 2 open.
func (b *breaker) state() float64 { return float64(b.two.State()) }

// notThere keeps of an exchange's error what says that Redis can't take writes.
// A server that answers something else is there.
func notThere(err error) error {
	var reply redis.Error
	if errors.Is(err, errNewServer) || err == nil {
		return nil
	}
	if !errors.As(err, &reply) {
		return err
	}
	for _, sign := range []string{"LOADING", "READONLY", "MISCONF", "MASTERDOWN", "CLUSTERDOWN"} {
		if strings.HasPrefix(reply.Error(), sign) {
			return err
		}
	}
	return nil
}
