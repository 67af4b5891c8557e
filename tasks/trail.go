package tasks

import (
	"context"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"plusone/hotpath/counter"
	"plusone/hotpath/like"
)

// Trail follows sampled requests through the log: to the drain that moves their
// changes, and from there to whoever is told or asked. A nil one follows nobody and
// costs nothing.
//
//	request ──note──▶ drain ──note──▶ POST webhook, POST participant ──traceparent──▶ them
//
// A batch has many requests. Its span is the child of the first sampled one, so that
// this one's trace shows the whole way, and links to the others. What no sampled
// request has caused has no span. Trouble with notes costs the trace and no more.
type Trail struct {
	tracer trace.Tracer
	log    *counter.Log
}

// NewTrail follows through log, which stays the caller's.
func NewTrail(tracer trace.Tracer, log *counter.Log) *Trail { return &Trail{tracer, log} }

const (
	noteTime = 500 * time.Millisecond // for looking notes up, and for writing them
	linkMost = 64                     // links of a span
	// noteSlack is what the clocks of Postgres, Redis and this machine may differ by.
	noteSlack = 2 * time.Second
)

// end ends a span.
type end func(error)

// drain begins the span of a batch, before its commit.
func (t *Trail) drain(ctx context.Context, b *batch, began time.Time, upTo like.Version) end {
	if t == nil {
		return func(error) {}
	}
	notes, cancel := context.WithTimeout(ctx, noteTime)
	defer cancel()
	found, err := t.log.TracesIn(notes, b.shard, b.Watermark(), upTo)
	parents, items := make([]string, len(found)), make([]string, len(found))
	for i, f := range found {
		parents[i], items[i] = f.Parent, f.Item
	}
	_, span := t.begin(ctx, "drain", parents, trace.WithTimestamp(began), trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithAttributes(attribute.Int("plusone.shard", b.shard), attribute.Int("plusone.log_entries", len(b.entries))))
	if span == nil {
		t.trouble(ctx, err)
		return func(error) {}
	}
	t.trouble(ctx, t.log.KeepDrained(notes, traceparent(span.SpanContext()), items))
	return func(err error) { finish(span, err) }
}

// Told is an item of which somebody is told, and when what he is told of was drained.
type Told struct {
	Item     string
	From, To time.Time
}

// Tell begins the span of a message, whose context gives it the header traceparent.
// to is the receiver's name.
func (t *Trail) Tell(ctx context.Context, name, to string, of []Told) (context.Context, func(error)) {
	if t == nil {
		return ctx, func(error) {}
	}
	items := make([]string, len(of))
	for i, o := range of {
		items[i] = o.Item
	}
	notes, cancel := context.WithTimeout(ctx, noteTime)
	defer cancel()
	drained, err := t.log.DrainedBy(notes, items)
	t.trouble(ctx, err)
	var parents []string
	for i, d := range drained {
		if d.Parent != "" && d.At.After(of[i].From.Add(-noteSlack)) && d.At.Before(of[i].To.Add(noteSlack)) {
			parents = append(parents, d.Parent)
		}
	}
	ctx, span := t.begin(ctx, name, parents, trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(attribute.String("plusone.receiver", to)))
	if span == nil {
		return ctx, func(error) {}
	}
	return ctx, func(err error) { finish(span, err) }
}

// begin begins a span below the first of parents that links to the others, nil
// without any.
func (t *Trail) begin(ctx context.Context, name string, parents []string, o ...trace.SpanStartOption) (context.Context, trace.Span) {
	var first trace.SpanContext
	seen := map[trace.SpanID]bool{}
	var links []trace.Link
	for _, p := range parents {
		sc := parse(p)
		if !sc.IsValid() || seen[sc.SpanID()] || len(links) == linkMost {
			continue
		}
		if seen[sc.SpanID()] = true; !first.IsValid() {
			first = sc
		} else {
			links = append(links, trace.Link{SpanContext: sc})
		}
	}
	if !first.IsValid() {
		return ctx, nil
	}
	return t.tracer.Start(trace.ContextWithRemoteSpanContext(ctx, first), name, append(o, trace.WithLinks(links...))...)
}

func (t *Trail) trouble(ctx context.Context, err error) {
	if err != nil {
		slog.DebugContext(ctx, "a trace ends here", "error", err)
	}
}

func finish(span trace.Span, err error) {
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
	}
	span.End()
}

// w3c is how traces are named between processes.
var w3c propagation.TraceContext

const traceparentHeader = "traceparent"

func traceparent(sc trace.SpanContext) string {
	carrier := propagation.MapCarrier{}
	w3c.Inject(trace.ContextWithSpanContext(context.Background(), sc), carrier)
	return carrier[traceparentHeader]
}

func parse(parent string) trace.SpanContext {
	return trace.SpanContextFromContext(w3c.Extract(context.Background(), propagation.MapCarrier{traceparentHeader: parent}))
}
