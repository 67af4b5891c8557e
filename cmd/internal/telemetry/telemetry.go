// Package telemetry sends traces to where the standard variables of OpenTelemetry
// say, by OTLP over HTTP; without them it is off and there is nothing to pay for.
//
// On: OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, or
// OTEL_TRACES_EXPORTER=otlp. Off whatever else is set: OTEL_SDK_DISABLED=true, or
// OTEL_TRACES_EXPORTER=none. The rest of them (OTEL_TRACES_SAMPLER, OTEL_SERVICE_NAME,
// OTEL_RESOURCE_ATTRIBUTES, OTEL_BSP_…, OTEL_EXPORTER_OTLP_HEADERS, …) means what it
// always does: they are the only variables that settings does not read.
//
// Spans wait in a bounded queue and are sent in the background. A collector that is
// away costs spans, a line in the log now and then, and nothing else.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Telemetry is where spans go.
type Telemetry struct {
	provider *sdk.TracerProvider
}

// IsOn reads by env, which looks a variable up, whether traces are wanted. The error
// is that they are wanted in a way that is not offered.
func IsOn(env func(string) string) (bool, error) {
	exporter := env("OTEL_TRACES_EXPORTER")
	switch {
	case strings.EqualFold(env("OTEL_SDK_DISABLED"), "true"), exporter == "none":
		return false, nil
	case exporter == "" && env("OTEL_EXPORTER_OTLP_ENDPOINT") == "" && env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") == "":
		return false, nil
	case exporter != "" && exporter != "otlp":
		return false, fmt.Errorf("OTEL_TRACES_EXPORTER is %q; traces are sent by otlp, or not at all (none)", exporter)
	}
	for _, name := range []string{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"} {
		switch p := env(name); p {
		case "http/protobuf":
			return true, nil
		case "":
		default:
			return false, fmt.Errorf("%s is %q; traces are sent by http/protobuf only, mostly to port 4318", name, p)
		}
	}
	return true, nil
}

// Start starts what sends spans of a process with a role; Run has to be called.
func Start(ctx context.Context, role, version string) (*Telemetry, error) {
	otel.SetErrorHandler(new(reporter))
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("traces: %w", err)
	}
	about, err := resource.New(ctx,
		resource.WithAttributes(
			attribute.String("service.name", "plusone"), attribute.String("service.version", version), attribute.String("plusone.role", role)),
		resource.WithTelemetrySDK(), resource.WithHost(), resource.WithFromEnv())
	if err != nil && !errors.Is(err, resource.ErrPartialResource) {
		return nil, fmt.Errorf("traces: %w", err)
	}
	return &Telemetry{sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithResource(about))}, nil
}

// Tracer makes spans.
func (t *Telemetry) Tracer() trace.Tracer { return t.provider.Tracer("plusone") }

// flushTime bounds the sending of what is left.
const flushTime = 5 * time.Second

// Run waits for the end of ctx and sends what is left, as far as somebody takes it.
func (t *Telemetry) Run(ctx context.Context) error {
	<-ctx.Done()
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTime)
	defer cancel()
	if err := t.provider.Shutdown(ending); err != nil {
		slog.WarnContext(ctx, "the last traces were not sent", "error", err)
	}
	return nil
}

// reportEvery is the pause between two lines about the same trouble.
const reportEvery = time.Minute

// reporter logs what the SDK complains of, at most once in reportEvery.
type reporter struct{ next atomic.Int64 }

// Handle implements the SDK's error handler.
func (r *reporter) Handle(err error) {
	now, next := time.Now(), r.next.Load()
	if now.UnixNano() >= next && r.next.CompareAndSwap(next, now.Add(reportEvery).UnixNano()) {
		slog.Warn("traces are lost (is the collector at OTEL_EXPORTER_OTLP_ENDPOINT running?)", "error", err)
	}
}
