package telemetry

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestTracesAreOnWhenSomethingSaysWhereToAndOffWhenAnythingForbidsIt(t *testing.T) {
	const to = "OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318"
	for _, c := range []struct {
		env  string
		on   bool
		says string // the variable that is wrong
	}{
		{"", false, ""},
		{to, true, ""},
		{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://collector:4318/v1/traces", true, ""},
		{"OTEL_TRACES_EXPORTER=otlp", true, ""},
		{"OTEL_TRACES_EXPORTER=none " + to, false, ""},
		{"OTEL_SDK_DISABLED=TRUE OTEL_TRACES_EXPORTER=otlp " + to, false, ""},
		{"OTEL_SDK_DISABLED=false " + to, true, ""},
		{"OTEL_TRACES_EXPORTER=zipkin", false, "OTEL_TRACES_EXPORTER"},
		{"OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf " + to, true, ""},
		{"OTEL_EXPORTER_OTLP_PROTOCOL=grpc " + to, false, "OTEL_EXPORTER_OTLP_PROTOCOL"},
		{"OTEL_EXPORTER_OTLP_PROTOCOL=grpc OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/protobuf " + to, true, ""},
		{"OTEL_EXPORTER_OTLP_PROTOCOL=grpc", false, ""},
	} {
		env := map[string]string{}
		for setting := range strings.FieldsSeq(c.env) {
			name, value, _ := strings.Cut(setting, "=")
			env[name] = value
		}
		on, err := IsOn(func(name string) string { return env[name] })
		if on != c.on || (err == nil) != (c.says == "") || err != nil && !strings.HasPrefix(err.Error(), c.says+" ") {
			t.Errorf("%q: %t %v", c.env, on, err)
		}
	}
}

func TestWhatIsLeftIsSentAtTheEnd(t *testing.T) {
	defer goleak.VerifyNone(t)
	var sent atomic.Int64
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		sent.Add(int64(bytes.Count(body, []byte("a span of a test"))))
	}))
	defer collector.Close()
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "3600000") // not before the end
	tel, err := Start(t.Context(), "serve", "v1")
	if err != nil {
		t.Fatal(err)
	}
	_, span := tel.Tracer().Start(t.Context(), "a span of a test")
	span.End()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := tel.Run(ctx); err != nil || sent.Load() != 1 {
		t.Errorf("%d spans were sent: %v", sent.Load(), err)
	}
}

func TestACollectorThatIsAwayCostsALineNowAndThen(t *testing.T) {
	var said bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&said, nil)))
	defer slog.SetDefault(before)
	r := new(reporter)
	for range 3 {
		r.Handle(errors.New("connection refused"))
	}
	if n := strings.Count(said.String(), "connection refused"); n != 1 {
		t.Errorf("%d lines at once", n)
	}
	r.next.Store(time.Now().UnixNano() - 1) // a minute later
	r.Handle(errors.New("connection refused"))
	if n := strings.Count(said.String(), "connection refused"); n != 2 {
		t.Errorf("%d lines, a minute later", n)
	}
}
