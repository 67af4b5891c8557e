package baseline

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/valyala/fasthttp"
)

// The saga: the listener asks the service of likes, then the service of points,
// and takes the like back when that fails.
//
//	PUT ─► saga ─HTTP─► likes    insert, count
//	         └───HTTP─► points   a point for the user
const (
	unlikeSQL = `
WITH gone AS (DELETE FROM base_likes WHERE item_id = $1 AND user_id = $2 RETURNING item_id)
UPDATE base_counts SET count = count - 1 WHERE item_id IN (SELECT item_id FROM gone)`
	pointSQL = `
INSERT INTO base_points AS p (user_id, points) VALUES ($1, 1) ON CONFLICT (user_id) DO UPDATE SET points = p.points + 1`
)

func sagaHTTP(ctx context.Context, o Options, s *server) error {
	if err := pgInsert(ctx, o, s); err != nil {
		return err
	}
	insert := s.like
	likes, err := service(ctx, func(ctx context.Context, r *fasthttp.RequestCtx) error {
		item, user := pair(r)
		if r.IsDelete() {
			_, err := s.pool.Exec(ctx, unlikeSQL, item, user)
			return err
		}
		count, err := insert(ctx, item, user)
		r.SetBodyString(strconv.FormatInt(count, 10))
		return err
	})
	if err != nil {
		return err
	}
	points, err := service(ctx, func(ctx context.Context, r *fasthttp.RequestCtx) error {
		_, user := pair(r)
		_, err := s.pool.Exec(ctx, pointSQL, user)
		return err
	})
	if err != nil {
		return err
	}
	s.like = func(_ context.Context, item, user string) (int64, error) {
		count, err := ask(likes, fasthttp.MethodPut, item, user)
		if err != nil {
			return 0, err
		}
		if _, err := ask(points, fasthttp.MethodPut, item, user); err != nil {
			_, undo := ask(likes, fasthttp.MethodDelete, item, user)
			return 0, errors.Join(err, undo)
		}
		return strconv.ParseInt(count, 10, 64)
	}
	return nil
}

func pair(r *fasthttp.RequestCtx) (item, user string) {
	return string(r.QueryArgs().Peek("item")), string(r.QueryArgs().Peek("user"))
}

// service serves do on a loopback port until ctx ends, and returns a client of it.
func service(ctx context.Context, do func(context.Context, *fasthttp.RequestCtx) error) (*fasthttp.HostClient, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	http := &fasthttp.Server{CloseOnShutdown: true, Handler: func(r *fasthttp.RequestCtx) {
		work, cancel := context.WithTimeout(context.Background(), opTime)
		defer cancel()
		if err := do(work, r); err != nil && !errors.Is(err, pgx.ErrNoRows) {
			r.Error(err.Error(), fasthttp.StatusServiceUnavailable)
		}
	}}
	go func() { _ = http.Serve(l) }() // ends with its listener
	context.AfterFunc(ctx, func() { _ = l.Close() })
	return &fasthttp.HostClient{Addr: l.Addr().String(), MaxConns: 512, MaxIdemponentCallAttempts: 1}, nil
}

// ask sends one step of a saga.
func ask(c *fasthttp.HostClient, method, item, user string) (string, error) {
	req, res := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(res)
	req.Header.SetMethod(method)
	req.SetRequestURI("http://" + c.Addr + "/?item=" + item + "&user=" + user)
	if err := c.DoDeadline(req, res, time.Now().Add(opTime)); err != nil {
		return "", err
	}
	if res.StatusCode() != fasthttp.StatusOK {
		return "", fmt.Errorf("a step answered %d: %s", res.StatusCode(), res.Body())
	}
	return string(res.Body()), nil
}
