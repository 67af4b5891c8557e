package counter

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
)

// guard stands at every new connection that is to carry ops: a server in a life
// that was not looked at yet may be a stale replica, whose log would give versions
// that lose. Its connections fail with errNewServer, which tells the
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

// runID names a server's life: new with every start of it, and with every
// promotion to master, since it may have followed another one in between. Servers
// that do not tell (miniredis) are all taken for one.
func runID(ctx context.Context, rdb interface {
	Pipelined(ctx context.Context, fn func(redis.Pipeliner) error) ([]redis.Cmder, error)
},
) (string, error) {
	var server, replication *redis.StringCmd
	_, err := rdb.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		server, replication = pipe.Info(ctx, "server"), pipe.Info(ctx, "replication")
		return nil
	})
	var reply redis.Error
	if errors.As(err, &reply) && strings.Contains(err.Error(), "is not supported") {
		return "none", nil
	}
	if err != nil {
		return "", err
	}
	return fieldText(server.Val(), "run_id") + " " + fieldText(replication.Val(), "master_replid"), nil
}
