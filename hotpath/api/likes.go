package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"plusone/hotpath/like"
)

func (s *Server) putLike(ctx context.Context, c *call) error { return s.want(ctx, c, like.Liked) }

func (s *Server) deleteLike(ctx context.Context, c *call) error { return s.want(ctx, c, like.NotLiked) }

func (s *Server) toggleLike(ctx context.Context, c *call) error { return s.want(ctx, c, like.Toggle) }

// want applies one op of the asking user. A body is allowed and means nothing.
func (s *Server) want(ctx context.Context, c *call, w like.Want) error {
	item, err := c.item()
	if err != nil {
		return err
	}
	user, err := c.user()
	if err != nil {
		return err
	}
	ops, results := c.op1[:], c.result1[:]
	ops[0] = like.Op{Item: item, User: user, Want: w}
	if err := s.apply(ctx, ops, results); err != nil {
		return err
	}
	if c.span != nil {
		s.follow(ctx, c, ops, results)
	}
	if err := s.count(c, &results[0]); err != nil {
		return err
	}
	return c.answer(appendResult(c.body[:0], ops[0], &results[0]))
}

// apply applies and counts ops.
func (s *Server) apply(ctx context.Context, ops []like.Op, results []like.Result) error {
	if err := unsure(s.counter.Apply(ctx, ops, results)); err != nil {
		s.metrics.failed(err, len(ops))
		return err
	}
	for i := range results {
		results[i].Err = unsure(results[i].Err)
		s.metrics.applied(&results[i])
	}
	return nil
}

// unsure makes plain that nobody knows what has been applied when time runs out
// on the way.
func unsure(err error) error {
	if errors.Is(err, context.DeadlineExceeded) && explain(err).code == "timeout" {
		return fmt.Errorf("%w: %w", like.ErrUnknown, err)
	}
	return err
}

// postLikes applies many ops of many users for a server. All ops are checked
// before any is applied; after that each is answered for itself.
func (s *Server) postLikes(ctx context.Context, c *call) error {
	if err := c.server(); err != nil {
		return err
	}
	if !isJSON(c) {
		return errMediaType
	}
	ops, err := parseOps(c.http.Request.Body())
	if err != nil {
		return err
	}
	results := make([]like.Result, len(ops))
	if err := s.apply(ctx, ops, results); err != nil {
		return err
	}
	if c.span != nil {
		s.follow(ctx, c, ops, results)
	}
	if err := allFailed(results); err != nil {
		return err
	}
	b := make([]byte, 0, 160*len(ops))
	b = append(b, `{"results":[`...)
	for i := range results {
		if i > 0 {
			b = append(b, ',')
		}
		b = s.appendOutcome(b, c, ops[i], &results[i])
	}
	return c.answer(append(b, `]}`...))
}

// appendOutcome appends the result or the error of one op among many.
func (s *Server) appendOutcome(b []byte, c *call, op like.Op, r *like.Result) []byte {
	if r.Err == nil {
		return appendResult(b, op, r)
	}
	row := explain(r.Err)
	s.report(c, row, r.Err)
	b = appendPair(b, op.Item, op.User)
	b = append(b, `,"error":{"code":`...)
	b = appendString(b, row.code)
	b = append(b, `,"detail":`...)
	b = appendString(b, row.detail)
	return append(b, `}}`...)
}

// allFailed is an error when no op was applied because the stores could not: of
// the errors that say so, the most careful one. Otherwise it is nil.
func allFailed(results []like.Result) error {
	first := results[0].Err
	for i := range results {
		err := results[i].Err
		switch {
		case errors.Is(err, like.ErrUnknown):
			first = err
		case errors.Is(err, like.ErrBusy), errors.Is(err, like.ErrUnavailable):
		default:
			return nil
		}
	}
	return first
}

// isJSON reports whether the body says that it is plain JSON.
func isJSON(c *call) bool {
	kind, _, _ := bytes.Cut(c.http.Request.Header.ContentType(), []byte(";"))
	return bytes.EqualFold(bytes.TrimSpace(kind), []byte("application/json")) &&
		len(c.http.Request.Header.ContentEncoding()) == 0
}
