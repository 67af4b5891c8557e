package counter

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
)

// guard stands at every new connection that is to carry ops: a server with a
// run id that was not looked at yet may be a stale replica, whose log would give
// versions that lose. Its connections fail with errNewServer, which tells the
// lane that nothing was sent and the warmer to look.
type guard struct{ known atomic.Pointer[string] }

func (g *guard) onConnect(ctx context.Context, cn *redis.Conn) error {
	id, err := runID(ctx, cn)
	if err != nil {
		return err
	}
	if known := g.known.Load(); known == nil || *known != id {
		return errNewServer
	}
	return nil
}

func (g *guard) trust(id string) { g.known.Store(&id) }

// runID is new with every start of a Redis server. Servers that have none
// (miniredis) are all taken for one.
func runID(ctx context.Context, rdb interface {
	Info(ctx context.Context, section ...string) *redis.StringCmd
},
) (string, error) {
	info, err := rdb.Info(ctx, "server").Result()
	var reply redis.Error
	if errors.As(err, &reply) && strings.Contains(err.Error(), "is not supported") {
		return "none", nil
	}
	if err != nil {
		return "", err
	}
	_, rest, _ := strings.Cut(info, "run_id:")
	id, _, _ := strings.Cut(rest, "\r")
	return id, nil
}
