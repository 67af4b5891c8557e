package api

import (
	"context"

	"github.com/valyala/fasthttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"plusone/hotpath/like"
)

// Trail is where a sampled request leaves its name for those who go on with what it
// has changed.
type Trail interface {
	// KeepTraces notes a traceparent for changes; each receipt is of the item at its place.
	KeepTraces(ctx context.Context, parent string, receipts []like.Receipt, items []string) error
}

// notedMost is how many changes of one request are followed.
const notedMost = 16

// headers reads the fields of a request for the propagation of traces.
type headers struct{ *fasthttp.RequestHeader }

func (h headers) Get(key string) string { return string(h.Peek(key)) }
func (h headers) Set(string, string)    {}
func (h headers) Keys() []string        { return nil }

// beginSpan begins the request's span. A name that comes along is believed from trusted
// proxies only: others could make us trace whatever they send.
func (s *Server) beginSpan(c *call) {
	parent := context.Background() // a request has no other
	if s.identity.trusts(peerOf(c.http)) {
		parent = propagation.TraceContext{}.Extract(parent, headers{&c.http.Request.Header})
	}
	_, c.span = s.tracer.Start(parent, "request", trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(c.http.Time()))
}

// endSpan ends it, whatever the answer was.
func (s *Server) endSpan(c *call, err error) {
	if c.span.IsRecording() {
		method, status := string(c.http.Method()), c.http.Response.StatusCode()
		c.span.SetName(method + " " + c.route.pattern)
		c.span.SetAttributes(
			attribute.String("http.request.method", method), attribute.String("http.route", c.route.pattern),
			attribute.Int("http.response.status_code", status), attribute.String("plusone.request_id", string(c.id)),
		)
		if status >= fasthttp.StatusInternalServerError {
			c.span.SetStatus(codes.Error, explain(err).code)
		}
	}
	c.span.End()
}

// follow leaves the request's name for the changes that it has made, if it is
// sampled. A change whose note is lost is not followed, nor one that has gone to the
// ledger already.
func (s *Server) follow(ctx context.Context, c *call, ops []like.Op, results []like.Result) {
	if !c.span.SpanContext().IsSampled() {
		return
	}
	var receipts []like.Receipt
	var items []string
	for i := range results {
		if results[i].Err == nil && results[i].Changed && !results[i].Receipt.Version.Direct() && len(items) < notedMost {
			receipts, items = append(receipts, results[i].Receipt), append(items, ops[i].Item)
		}
	}
	s.note(ctx, c, receipts, items)
}

// followVote is follow for a vote. A repeat has the receipt of the first one, which is
// found only while that has not been drained.
func (s *Server) followVote(ctx context.Context, c *call, item string, v *like.Voted) {
	if c.span.SpanContext().IsSampled() {
		s.note(ctx, c, []like.Receipt{v.Receipt}, []string{item})
	}
}

func (s *Server) note(ctx context.Context, c *call, receipts []like.Receipt, items []string) {
	if len(items) == 0 {
		return
	}
	c.span.SetAttributes(attribute.String("plusone.receipt", receipts[0].String()))
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(trace.ContextWithSpan(context.Background(), c.span), carrier)
	if err := s.trail.KeepTraces(ctx, carrier.Get("traceparent"), receipts, items); err != nil {
		c.span.AddEvent("not followed", trace.WithAttributes(attribute.String("error", err.Error())))
	}
}
