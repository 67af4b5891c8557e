package tasks_test

import (
	"testing"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"plusone/hotpath/like"
	"plusone/tasks"
)

// The requests of three likes, as they are named between processes.
const (
	trace1   = "4bf92f3577b34da6a3ce929d0e0e4736"
	parent1  = "00-" + trace1 + "-00f067aa0ba902b7-01"
	parent2  = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	unwanted = "00-0af7651916cd43dd8448eb211c80319d-b7ad6b7169203332-00" // not sampled
)

func TestADrainIsInTheTraceOfItsFirstSampledRequestAndLinksToTheOthers(t *testing.T) {
	w := newWorks(t)
	got := tracetest.NewInMemoryExporter()
	provider := sdk.NewTracerProvider(sdk.WithSyncer(got))
	t.Cleanup(func() { _ = provider.Shutdown(t.Context()) })
	trail := tasks.NewTrail(provider.Tracer("test"), w.log)
	w.drainer.Along(trail)

	item := itemIn(0)
	w.want(item, like.Liked, "nobody")
	w.drainAll()
	if n := len(got.GetSpans()); n != 0 {
		t.Fatalf("%d spans of what nobody has sampled", n)
	}

	before := time.Now()
	for i, parent := range []string{parent1, parent2, parent1} { // the third: another change of the first request
		r := w.want(item, like.Liked, users("u", 3)[i])
		check(t, w.log.KeepTraces(t.Context(), parent, []like.Receipt{r[0].Receipt}, []string{item}))
	}
	w.drainAll()
	spans := got.GetSpans()
	if len(spans) != 1 || spans[0].Name != "drain" || spans[0].SpanContext.TraceID().String() != trace1 || spans[0].Parent.SpanID().String() != "00f067aa0ba902b7" {
		t.Fatalf("spans: %+v", spans)
	}
	if links := spans[0].Links; len(links) != 1 || links[0].SpanContext.SpanID().String() != "b7ad6b7169203331" {
		t.Errorf("links: %+v", links)
	}

	ctx, end := trail.Tell(t.Context(), "notify", "somebody", []tasks.Told{{Item: "other", From: before, To: time.Now()}, {Item: item, From: before, To: time.Now()}})
	end(nil)
	told := got.GetSpans()[1]
	if ctx == t.Context() || told.Parent.SpanID() != spans[0].SpanContext.SpanID() {
		t.Errorf("told within %+v", told)
	}
	for name, of := range map[string]tasks.Told{
		"another item":      {Item: "other", From: before, To: time.Now()},
		"an earlier window": {Item: item, From: before.Add(-time.Hour), To: before.Add(-time.Minute)},
	} {
		_, end := trail.Tell(t.Context(), "notify", "somebody", []tasks.Told{of})
		end(nil)
		if n := len(got.GetSpans()); n != 2 {
			t.Fatalf("%s is in a trace", name)
		}
	}

	r := w.want(item, like.NotLiked, "u00000")
	check(t, w.log.KeepTraces(t.Context(), unwanted, []like.Receipt{r[0].Receipt}, []string{item}))
	w.drainAll()
	if n := len(got.GetSpans()); n != 2 {
		t.Error("a request that was not sampled has a drain")
	}
}
