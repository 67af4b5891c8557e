package stores

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Redis is the Redis at one URL.
type Redis struct {
	client *redis.Client
	opts   *redis.Options
}

// OpenRedis connects and checks Redis.
func OpenRedis(ctx context.Context, url string, allowUnsafe bool) (*Redis, error) {
	r, err := DialRedis(url)
	if err != nil {
		return nil, err
	}
	if err := r.Check(ctx, allowUnsafe); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// DialRedis is the Redis at a URL, which is not asked anything yet.
func DialRedis(url string) (*Redis, error) {
	o, err := parse(url)
	if err != nil {
		return nil, err
	}
	return &Redis{client: redis.NewClient(o), opts: o}, nil
}

// parse reads a URL. The library's own errors repeat the URL, password
// included, so they go no further.
func parse(url string) (*redis.Options, error) {
	o, err := redis.ParseURL(url)
	if err != nil || o.Network == "unix" {
		return nil, tell(ErrURL, "--redis-url is not of the form redis://[user:password@]host:port/db (rediss:// for TLS)")
	}
	o.MaxRetries = -1 // what is retried, and when, is decided where it is known what it does
	o.DialerRetries = 1
	o.ContextTimeoutEnabled = true
	// A Redis of one's own sends none, and while one connection waits for the answer, others do.
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = dialTime, replyTime, replyTime, poolTime
	return o, nil
}

// Check looks whether Redis keeps what it is given: any maxmemory-policy but
// noeviction is refused unless allowUnsafe. Errors: ErrAway, ErrUnsafe.
func (r *Redis) Check(ctx context.Context, allowUnsafe bool) error {
	ctx, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	f, err := r.Facts(ctx)
	if err != nil {
		return r.away(err)
	}
	switch p := f.Info["maxmemory_policy"]; {
	case p == "noeviction" || allowUnsafe:
		return nil
	case p == "":
		return tell(ErrUnsafe, fmt.Sprintf("Redis at %s does not tell its maxmemory-policy; --unsafe goes on without", r.opts.Addr))
	default:
		return tell(ErrUnsafe, fmt.Sprintf("Redis at %s has maxmemory-policy %s and may drop likes when its memory is full; "+
			"run CONFIG SET maxmemory-policy noeviction there, or start with --unsafe", r.opts.Addr, p))
	}
}

// away says why Redis can't be used, and what to do.
func (r *Redis) away(err error) error {
	if isReply(err) {
		return tell(err, fmt.Sprintf("Redis at %s refuses: %s; is --redis-url right?", r.opts.Addr, strings.TrimSuffix(err.Error(), ".")))
	}
	return tell(ErrAway, fmt.Sprintf("Redis at %s can't be reached: %s; is it running, and is --redis-url right?", r.opts.Addr, Words(err)), err)
}

var (
	// ErrUnsafe says that a store is set up in a way that loses likes.
	ErrUnsafe = errors.New("unsafe store")
	// ErrAway says that a store does not answer.
	ErrAway = errors.New("a store is away")
	// ErrURL says that nothing can be asked because of how the store's URL is written.
	ErrURL = errors.New("the URL of a store")
)

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
		MaxRetries: o.MaxRetries, DialerRetries: o.DialerRetries, ContextTimeoutEnabled: true, MaintNotificationsConfig: o.MaintNotificationsConfig,
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

// Promise tells what an acknowledged like survives on this Redis, in words. The
// error is that it does not answer or takes no writes.
func (r *Redis) Promise(ctx context.Context) (string, error) {
	f, err := r.Facts(ctx)
	if err != nil {
		return "", tell(err, fmt.Sprintf("%s does not answer: %s", r.opts.Addr, Words(err)))
	}
	if err := f.Refuses(); err != nil {
		return "", fmt.Errorf("%s takes no likes: %w", r.opts.Addr, err)
	}
	promise, _ := f.Promise()
	return promise, nil
}
