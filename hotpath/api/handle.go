package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"
)

// handle answers one request: exactly one answer, one count, and at most one
// line in the log, whatever happens on the way.
func (s *Server) handle(ctx *fasthttp.RequestCtx) {
	c := newCall(ctx)
	c.id = s.ids.of(&ctx.Request.Header, c.newID[:0])
	if s.leaving.Load() {
		ctx.SetConnectionClose()
	}
	if s.tracer != nil {
		s.beginSpan(c)
	}
	err := s.serve(c)
	if err != nil {
		s.refuse(c, err)
	} else if s.greets(c) {
		s.identity.visitors.greet(ctx, peerOf(ctx), time.Now())
	}
	s.finish(c)
	s.metrics.took(c.route, time.Since(ctx.Time()))
	if c.span != nil {
		s.endSpan(c, err)
	}
	if !errors.Is(err, errPanic) { // after one, nobody knows what is still in use
		c.release()
	}
}

// greets reports whether the answer brings a visitor's cookie, if it is no error.
func (s *Server) greets(c *call) bool {
	return s.identity.visitors != nil && c.who == (caller{}) && c.http.IsGet() && !c.route.file && c.route != besideRoute
}

// serve finds out what to do, for whom, and does it. A panic is an error like
// others: it must not end the process.
func (s *Server) serve(c *call) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v\n%s", errPanic, r, debug.Stack())
		}
	}()
	defer s.inFlight.Add(-1)
	nc := c.http.Conn().(*conn) // it is our listener's
	if s.inFlight.Add(1) > s.maxInFlight || isOver(c, nc) {
		return errOverloaded
	}
	do, err := s.find(c)
	if err != nil || do == nil {
		return err
	}
	ctx := nc.within(c.http.Time(), s.opTimeout)
	defer ctx.release()
	return do(s, ctx, c)
}

// isOver reports whether the connection is one too many; then this answer is
// its last.
func isOver(c *call, nc *conn) bool {
	if nc.over {
		c.http.SetConnectionClose()
	}
	return nc.over
}

// find fills in what the request is about: route, caller and subject. It returns
// nothing to do when the answer was at hand.
func (s *Server) find(c *call) (do func(*Server, context.Context, *call) error, err error) {
	h := &c.http.Request.Header
	if err := checkFraming(h); err != nil {
		c.route = badRequest
		c.http.SetConnectionClose()
		return nil, err
	}
	path, query, err := split(h.RequestURI())
	if err != nil {
		return nil, err
	}
	r, arg := match(path)
	c.route, c.query = r, query
	if s.preflight(c) {
		return nil, nil
	}
	peer := peerOf(c.http)
	if err := s.admitAddress(c, peer); err != nil {
		return nil, err
	}
	if r == noRoute {
		return nil, s.answerBeside(c)
	}
	if do = r.find(h.Method()); do == nil {
		return nil, errMethod
	}
	if !r.file {
		if c.who, err = s.identity.who(h, peer); err != nil {
			return nil, err
		}
		if err := s.admitUser(c); err != nil {
			return nil, err
		}
	}
	if r == itemRoute && s.readRecent(c, arg) {
		return nil, nil
	}
	c.arg, err = unescape(arg, false)
	return do, err
}

func (s *Server) answerBeside(c *call) error {
	if s.beside == nil || !s.beside(c.http) {
		return errNoRoute
	}
	c.route = besideRoute
	return nil
}

// refuse answers with the problem document of an error.
func (s *Server) refuse(c *call, err error) {
	row := explain(err)
	s.report(c, row, err)
	c.cache, c.tag = forNobody, nil
	r := &c.http.Response
	r.SetStatusCode(row.status)
	r.Header.SetContentType("application/problem+json")
	switch row.status {
	case 401:
		r.Header.Set("WWW-Authenticate", challenge(err))
	case 403:
		if errors.Is(err, errTooNew) {
			r.Header.Set("Retry-After", "1")
		}
	case 405:
		r.Header.Set("Allow", c.route.allow)
	case 429:
		var limited *limitedError
		if errors.As(err, &limited) {
			r.Header.Set("Retry-After", strconv.FormatInt(seconds(limited.retry), 10))
		}
	case 503:
		r.Header.Set("Retry-After", "1")
	}
	r.SetBody(appendProblem(c.body[:0], row, err, c.id))
}

func challenge(err error) string {
	if errors.Is(err, errBadIdentity) {
		return `Bearer realm="plusone", error="invalid_token"`
	}
	return `Bearer realm="plusone"`
}

// What stands in nearly every answer, spelled as the wire wants it: to spell a
// name anew for each took a third of a handler's time.
var (
	requestIDHeader          = []byte("X-Request-Id")
	cacheControlHeader       = []byte("Cache-Control")
	contentTypeOptionsHeader = []byte("X-Content-Type-Options")
	rateLimitHeader          = []byte("Ratelimit")
	rateLimitPolicyHeader    = []byte("Ratelimit-Policy")
	etagHeader               = []byte("Etag")
	varyHeader               = []byte("Vary")
	noSniff                  = []byte("nosniff")
)

// finish adds what every answer has.
func (s *Server) finish(c *call) {
	r := &c.http.Response
	r.Header.SetCanonical(requestIDHeader, c.id)
	r.Header.SetCanonical(cacheControlHeader, c.cache)
	if c.tag != nil {
		r.Header.SetCanonical(etagHeader, c.tag)
	}
	switch {
	case c.route.file:
		r.Header.SetCanonical(varyHeader, byEncoding)
		r.Header.SetCanonical(allowOriginHeader, everyOrigin)
	case s.identity.origins != nil || c.http.IsGet() || c.http.IsHead():
		r.Header.SetCanonical(varyHeader, s.vary)
	}
	if s.identity.origins != nil && !c.route.file {
		s.admitPage(c)
	}
	r.Header.SetCanonical(contentTypeOptionsHeader, noSniff)
	if len(c.policies) > 0 {
		r.Header.SetCanonical(rateLimitHeader, c.allowed)
		r.Header.SetCanonical(rateLimitPolicyHeader, c.policies)
	}
	s.metrics.answered(c.route, c.http.Request.Header.Method(), r.StatusCode())
}

// malformed answers what the parser could not make a request of. The connection
// is closed after it.
func (s *Server) malformed(ctx *fasthttp.RequestCtx, err error) {
	c := newCall(ctx)
	c.route, c.id = badRequest, s.ids.of(&ctx.Request.Header, c.newID[:0])
	err = parseError(err)
	if nc, ok := ctx.Conn().(*conn); ok && !errors.Is(err, errReadTimeout) {
		nc.linger.Store(true)
	}
	s.refuse(c, err)
	ctx.Response.SkipBody = ctx.IsHead()
	s.finish(c)
	c.release()
}

// parseError names a parser's error. The parser's own text quotes the request
// and is kept to ourselves.
func parseError(err error) error {
	var small *fasthttp.ErrSmallBuffer
	var network net.Error
	switch {
	case errors.As(err, &small):
		return errHeaderTooLong
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		return errTooLarge
	case errors.As(err, &network) && network.Timeout():
		return errReadTimeout
	}
	return errBadRequest
}

// refuseConn answers and closes a connection that will not be read. The answer
// fits into an empty send buffer, so this does not wait for the client.
func (s *Server) refuseConn(nc net.Conn) {
	id := s.ids.next(nil)
	body := appendProblem(nil, explain(errOverloaded), errOverloaded, id)
	answer := fmt.Appendf(nil, "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\n"+
		"Connection: close\r\nRetry-After: 1\r\nX-Request-Id: %s\r\nContent-Length: %d\r\n\r\n%s", id, len(body), body)
	if nc.SetWriteDeadline(time.Now().Add(10*time.Millisecond)) == nil {
		_, _ = nc.Write(answer) // a client that is gone needs no answer
	}
	_ = nc.Close()
	s.metrics.answered(badRequest, nil, fasthttp.StatusServiceUnavailable)
}

// report logs an error: our own mistakes always, a lack of capacity or of a
// store at most once a second for all requests, and the client's mistakes only
// for debugging.
func (s *Server) report(c *call, r row, err error) {
	level := slog.LevelDebug
	switch {
	case r.status == fasthttp.StatusInternalServerError:
		level = slog.LevelError
	case r.status == fasthttp.StatusServiceUnavailable && s.mayWarn():
		level = slog.LevelWarn
	}
	ctx := context.Background() // slog reads values from it, and there are none
	if s.log.Enabled(ctx, level) {
		s.log.Log(ctx, level, "request refused", "code", r.code, "route", c.route.pattern,
			"request_id", string(c.id), "server_key", c.who.key, "error", err)
	}
}

func (s *Server) mayWarn() bool {
	now, last := time.Now().Unix(), s.lastWarning.Load()
	return now != last && s.lastWarning.CompareAndSwap(last, now)
}
