package baseline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"
	"github.com/valyala/fasthttp"
)

// Options say where a server listens and what it stores in.
type Options struct {
	Listen      string
	RedisURL    string
	PostgresURL string
}

// servers are the parts that a baseline is made of.
type server struct {
	rdb  *redis.Client
	pool *pgxpool.Pool
	like func(ctx context.Context, item, user string) (count int64, err error)
	run  func(ctx context.Context) error // beside the listener; nil: nothing

	serve fasthttp.RequestHandler // instead of likes; nil: likes
}

// start makes a server over what Options name.
type start func(ctx context.Context, o Options, s *server) error

var servers = map[string]start{
	"bare":          func(context.Context, Options, *server) error { return nil },
	"eval":          eval,
	"eval-auto":     evalAuto,
	"eval-asynq":    evalAsynq,
	"asynq-worker":  asynqWorker,
	"pg-insert":     pgInsert,
	"pg-lock":       pgLock,
	"pg-optimistic": pgOptimistic,
	"saga-http":     sagaHTTP,
	"participants":  participants,
}

// Names are the servers' names.
func Names() []string { return slices.Sorted(maps.Keys(servers)) }

// opTime bounds what a request may take in the stores.
const opTime = 5 * time.Second

// Serve runs a server until ctx ends.
func Serve(ctx context.Context, name string, o Options) (err error) {
	start, ok := servers[name]
	if !ok {
		return fmt.Errorf("no baseline %q; there are %v", name, Names())
	}
	s := &server{}
	if err := s.open(ctx, o); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := start(ctx, o, s); err != nil {
		return err
	}
	l, err := net.Listen("tcp4", o.Listen)
	if err != nil {
		return err
	}
	handle := s.handle
	if s.serve != nil {
		handle = s.serve
	}
	http := &fasthttp.Server{Handler: handle, NoDefaultServerHeader: true, CloseOnShutdown: true, Concurrency: 1 << 16}
	failed := make(chan error, 2) // one value from each goroutine below
	go func() { failed <- http.Serve(l) }()
	beside := make(chan struct{})
	go func() {
		defer close(beside)
		if s.run != nil {
			failed <- s.run(ctx)
		}
	}()
	select {
	case err = <-failed:
	case <-ctx.Done():
		<-beside
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), opTime)
	defer cancel()
	return errors.Join(err, http.ShutdownWithContext(ending))
}

func (s *server) open(ctx context.Context, o Options) error {
	if o.RedisURL != "" {
		ro, err := redis.ParseURL(o.RedisURL)
		if err != nil {
			return err
		}
		ro.PoolSize, ro.MinIdleConns, ro.MaxRetries = 128, 32, -1
		s.rdb = redis.NewClient(ro)
	}
	if o.PostgresURL != "" {
		po, err := pgxpool.ParseConfig(o.PostgresURL)
		if err != nil {
			return err
		}
		po.MaxConns, po.MinConns = 32, 32
		if s.pool, err = pgxpool.NewWithConfig(ctx, po); err != nil {
			return err
		}
	}
	return nil
}

func (s *server) close() (err error) {
	if s.rdb != nil {
		err = s.rdb.Close()
	}
	if s.pool != nil {
		s.pool.Close()
	}
	return err
}

// The constant answers of bare have the size of plusone's.
var (
	aLike    = []byte(`{"item":"item-0000123","user":"000000001234","liked":true,"changed":true,"count":4242,"receipt":"12-1795264000000-0"}`)
	aReading = []byte(`{"item":"item-0000123","count":4242,"as_of":"2026-11-21T12:00:00.000Z","source":"cache"}`)
)

// handle answers with the headers that plusone's answers have.
func (s *server) handle(ctx *fasthttp.RequestCtx) {
	r := &ctx.Response
	r.Header.SetContentType("application/json")
	r.Header.Set("X-Request-Id", "abcdefgh-0000000001")
	r.Header.Set("Cache-Control", "no-store")
	r.Header.Set("X-Content-Type-Options", "nosniff")
	switch {
	case s.like != nil:
		s.answer(ctx)
	case ctx.IsGet():
		r.SetBody(aReading)
	default:
		r.SetBody(aLike)
	}
}

// answer applies a like and says what plusone would.
func (s *server) answer(ctx *fasthttp.RequestCtx) {
	_, path, _ := bytes.Cut(ctx.Path(), []byte("/v1/items/"))
	item, rest, _ := bytes.Cut(path, []byte("/"))
	user := ctx.Request.Header.Peek("X-User-ID")
	if string(rest) != "like" || len(item) == 0 || len(user) == 0 {
		ctx.Error("no", fasthttp.StatusBadRequest)
		return
	}
	work, cancel := context.WithTimeout(context.Background(), opTime)
	defer cancel()
	count, err := s.like(work, string(item), string(user))
	if err != nil {
		ctx.Error("outcome_unknown: "+err.Error(), fasthttp.StatusServiceUnavailable)
		return
	}
	b := make([]byte, 0, 256)
	b = append(append(b, `{"item":"`...), item...)
	b = append(append(b, `","user":"`...), user...)
	b = append(b, `","liked":true,"changed":true,"count":`...)
	b = strconv.AppendInt(b, count, 10)
	ctx.Response.SetBody(append(b, '}'))
}
