package stores

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// Redis is the Redis at one URL.
type Redis struct {
	client *redis.Client
	opts   *redis.Options
	evicts bool // it may drop likes when its memory is full
}

// OpenRedis connects and checks that Redis keeps what it is given: any
// maxmemory-policy but noeviction is refused unless allowUnsafe.
func OpenRedis(ctx context.Context, url string, allowUnsafe bool) (*Redis, error) {
	o, err := parse(url)
	if err != nil {
		return nil, err
	}
	r := &Redis{client: redis.NewClient(o), opts: o}
	ctx, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	if err := r.check(ctx, allowUnsafe); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// parse reads a URL. The library's own errors repeat the URL, password
// included, so they go no further.
func parse(url string) (*redis.Options, error) {
	o, err := redis.ParseURL(url)
	if err != nil || o.Network == "unix" {
		return nil, errors.New("the Redis URL is not of the form redis://[user:password@]host:port/db (rediss:// for TLS)")
	}
	o.MaxRetries = -1 // what is retried, and when, is decided where it is known what it does
	o.DialerRetries = 1
	o.ContextTimeoutEnabled = true
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = dialTime, replyTime, replyTime, poolTime
	return o, nil
}

func (r *Redis) check(ctx context.Context, allowUnsafe bool) error {
	if err := r.client.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("reach Redis at %s (is it running? is --redis-url right?): %w", r.opts.Addr, err)
	}
	memory, err := r.info(ctx, "memory")
	if err != nil && !allowUnsafe {
		return fmt.Errorf("ask Redis at %s for its maxmemory-policy (--unsafe goes on without): %w", r.opts.Addr, err)
	}
	p := memory["maxmemory_policy"]
	r.evicts = p != "" && p != "noeviction"
	if p != "noeviction" && !allowUnsafe {
		return fmt.Errorf("%w: Redis at %s has maxmemory-policy %q and may drop likes when its memory is full; "+
			"run CONFIG SET maxmemory-policy noeviction there, or start with --unsafe", ErrUnsafe, r.opts.Addr, p)
	}
	return nil
}

// ErrUnsafe says that a store is set up in a way that loses likes.
var ErrUnsafe = errors.New("unsafe store")

// Client sends each command once, and is closed by Close.
func (r *Redis) Client() *redis.Client { return r.client }

// Addr is host:port, for people to read.
func (r *Redis) Addr() string { return r.opts.Addr }

// Close closes the connections.
func (r *Redis) Close() error { return r.client.Close() }

// Universal says where Redis is, for parts that make connections of their own.
func (r *Redis) Universal() redis.UniversalOptions {
	o := r.opts
	return redis.UniversalOptions{
		Addrs: []string{o.Addr}, DB: o.DB, Username: o.Username, Password: o.Password, TLSConfig: cloneTLS(o.TLSConfig),
		Protocol: o.Protocol, ClientName: o.ClientName,
		MaxRetries: o.MaxRetries, DialerRetries: o.DialerRetries, ContextTimeoutEnabled: true,
		DialTimeout: dialTime, ReadTimeout: replyTime, WriteTimeout: replyTime, PoolTimeout: poolTime,
	}
}

// Queues says where Redis is, for asynq.
func (r *Redis) Queues() asynq.RedisClientOpt {
	o := r.opts
	return asynq.RedisClientOpt{
		Addr: o.Addr, DB: o.DB, Username: o.Username, Password: o.Password, TLSConfig: cloneTLS(o.TLSConfig),
		DialTimeout: dialTime, ReadTimeout: replyTime, WriteTimeout: replyTime,
	}
}

func cloneTLS(c *tls.Config) *tls.Config {
	if c == nil {
		return nil
	}
	return c.Clone()
}

// Promise tells what an acknowledged like survives on this Redis, in words.
func (r *Redis) Promise(ctx context.Context) (string, error) {
	if err := r.client.Ping(ctx).Err(); err != nil {
		return "", err
	}
	if r.evicts {
		return "UNSAFE: its maxmemory-policy lets it drop likes when its memory is full", nil
	}
	persistence, _ := r.info(ctx, "persistence") // it may be no real Redis, or not let us ask
	switch persistence["aof_enabled"] {
	case "1":
	case "0":
		return "appendonly no: a crash of Redis loses acknowledged likes", nil
	default:
		return "persistence unknown: count on acknowledged likes ending with this Redis", nil
	}
	switch sync := r.client.ConfigGet(ctx, "appendfsync").Val()["appendfsync"]; sync {
	case "":
		return "appendonly yes, appendfsync unknown (CONFIG is not allowed)", nil
	case "always":
		return "appendonly yes, appendfsync always: acknowledged likes survive a crash and a power loss", nil
	default:
		return "appendonly yes, appendfsync " + sync + ": a power loss may cost the likes of the last second", nil
	}
}

// info reads one section of INFO.
func (r *Redis) info(ctx context.Context, section string) (map[string]string, error) {
	text, err := r.client.Info(ctx, section).Result()
	if err != nil {
		return nil, err
	}
	values := map[string]string{}
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		if name, v, ok := strings.Cut(lines.Text(), ":"); ok {
			values[name] = v
		}
	}
	return values, nil
}
