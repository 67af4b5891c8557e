package api

import (
	"bytes"
	"context"
	"fmt"
	"strconv"

	"plusone/hotpath/like"
)

// postVote counts a vote, once however often it is asked for.
func (s *Server) postVote(ctx context.Context, c *call) error {
	if !isJSON(c) {
		return errMediaType
	}
	ref, weight, err := parseVote(c.http.Request.Body())
	if err != nil {
		return err
	}
	return s.vote(ctx, c, like.VoteOp{Ref: ref, Want: like.CountVote, Weight: weight})
}

// deleteVote gives a vote back.
func (s *Server) deleteVote(ctx context.Context, c *call) error {
	return s.voteOf(ctx, c, like.RefundVote)
}

// readVote tells what became of a vote.
func (s *Server) readVote(ctx context.Context, c *call) error {
	return s.voteOf(ctx, c, like.LookAtVote)
}

// voteOf is vote for the ref in the path.
func (s *Server) voteOf(ctx context.Context, c *call, want like.VoteWant) error {
	path, _, err := split(c.http.Request.Header.RequestURI())
	if err != nil {
		return err
	}
	ref, err := unescape(path[bytes.LastIndexByte(path, '/')+1:], false)
	if err != nil {
		return err
	}
	return s.vote(ctx, c, like.VoteOp{Ref: ref, Want: want})
}

// vote is for servers: whoever takes the money knows what was paid.
func (s *Server) vote(ctx context.Context, c *call, op like.VoteOp) (err error) {
	if err := c.server(); err != nil {
		return err
	}
	if op.Item, err = c.item(); err != nil {
		return err
	}
	if err := like.CheckUser(op.Ref); err != nil {
		return fmt.Errorf("the ref has the form of a user: %w", err)
	}
	v := s.counter.Vote(ctx, op)
	if err := unsure(v.Err); err != nil {
		s.metrics.voted(explain(err).code)
		return err
	}
	s.metrics.voted(voteState(&v))
	if c.span != nil && op.Want != like.LookAtVote {
		s.followVote(ctx, c, op.Item, &v)
	}
	return c.answer(appendVote(c.body[:0], op, &v))
}

// voteState is how answers and metrics spell what became of a vote.
func voteState(v *like.Voted) string {
	if v.Counted {
		return "counted"
	}
	return "refunded"
}

func appendVote(b []byte, op like.VoteOp, v *like.Voted) []byte {
	b = append(b, `{"item":`...)
	b = appendString(b, op.Item)
	b = append(b, `,"ref":`...)
	b = appendString(b, op.Ref)
	b = append(b, `,"weight":`...)
	b = appendInt(b, int64(v.Weight))
	b = append(b, `,"state":"`...)
	b = append(b, voteState(v)...)
	b = append(b, '"')
	if op.Want != like.LookAtVote {
		b = append(b, `,"count":`...)
		b = appendInt(b, v.Count)
	}
	b = append(b, `,"receipt":`...)
	return append(appendReceipt(b, v.Receipt), '}')
}

// parseVote reads {"ref":…,"weight":…}, as strictly as parseOps.
func parseVote(body []byte) (ref string, weight int32, err error) {
	p := parser{b: body}
	if err := p.tokens('{'); err != nil {
		return "", 0, err
	}
	var hasRef, hasWeight bool
	for n := range 2 {
		if n > 0 {
			if err := p.tokens(','); err != nil {
				return "", 0, err
			}
		}
		name, err := p.text()
		if err == nil {
			err = p.tokens(':')
		}
		switch {
		case err != nil:
		case name == "ref" && !hasRef:
			hasRef = true
			ref, err = p.text()
		case name == "weight" && !hasWeight:
			hasWeight = true
			weight, err = p.weight()
		default:
			err = p.bad("want ref and weight, each once, not " + strconv.Quote(name))
		}
		if err != nil {
			return "", 0, err
		}
	}
	if err := p.tokens('}'); err != nil {
		return "", 0, err
	}
	if p.space(); p.i < len(p.b) {
		return "", 0, p.bad("something follows the document")
	}
	return ref, weight, nil
}

// weight reads an integer from 1 to like.MaxWeight in its one spelling.
func (p *parser) weight() (int32, error) {
	p.space()
	start, n := p.i, 0
	for p.i < len(p.b) && p.b[p.i] >= '0' && p.b[p.i] <= '9' && n <= like.MaxWeight {
		n = 10*n + int(p.b[p.i]-'0')
		p.i++
	}
	if n < 1 || n > like.MaxWeight || p.b[start] == '0' {
		return 0, p.bad(fmt.Sprintf("want a weight, an integer from 1 to %d", like.MaxWeight))
	}
	return int32(n), nil
}
