package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	spans "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// watcher keeps the spans that it is sent, and the traceparent of each call of a
// receiver or participant.
type watcher struct {
	url    string
	mu     sync.Mutex
	spans  []*spans.Span
	called map[string]string // path → traceparent of the last call that had one
}

func newWatcher(t *testing.T) *watcher {
	t.Helper()
	w := &watcher{called: map[string]string{}}
	server := httptest.NewServer(w)
	t.Cleanup(server.Close)
	w.url = server.URL
	return w
}

func (w *watcher) ServeHTTP(answer http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.mu.Lock()
	defer w.mu.Unlock()
	switch r.URL.Path {
	case "/v1/traces":
		var sent collector.ExportTraceServiceRequest
		if proto.Unmarshal(body, &sent) != nil {
			answer.WriteHeader(http.StatusBadRequest)
			return
		}
		for _, resource := range sent.GetResourceSpans() {
			for _, scope := range resource.GetScopeSpans() {
				w.spans = append(w.spans, scope.GetSpans()...)
			}
		}
		return
	case "/participant":
		var asked struct{ Ops []struct{ Saga string } }
		_ = json.Unmarshal(body, &asked)
		results := []map[string]string{}
		for _, op := range asked.Ops {
			results = append(results, map[string]string{"saga": op.Saga, "result": "done"})
		}
		_ = json.NewEncoder(answer).Encode(map[string]any{"results": results})
	}
	if parent := r.Header.Get("Traceparent"); parent != "" {
		w.called[r.URL.Path] = parent
	}
}

// span is the first span of a trace with a name, nil if it has not come.
func (w *watcher) span(trace, name string) *spans.Span {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.spans {
		if hex.EncodeToString(s.GetTraceId()) == trace && s.GetName() == name {
			return s
		}
	}
	return nil
}

func (w *watcher) parentOf(path string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.called[path]
}

// likeIn likes an item as alice within a trace.
func likeIn(t *testing.T, url, item, trace string) {
	t.Helper()
	askIn(t, "PUT", url+"/v1/items/"+item+"/like", trace, asUser("alice"))
}

// askIn asks for something within a trace.
func askIn(t *testing.T, method, url, trace string, changes ...func(*http.Request)) {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range changes {
		change(req)
	}
	req.Header.Set("traceparent", "00-"+trace+"-00f067aa0ba902b7-01")
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != 200 {
		t.Fatalf("%s %s: %s", method, url, res.Status)
	}
}

func TestATraceLeadsFromTheRequestThroughTheLogToWhoIsToldAndAsked(t *testing.T) {
	t.Parallel()
	const trace, put = "4bf92f3577b34da6a3ce929d0e0e4736", "PUT /v1/items/{item}/like"
	const secret = "whsec_qfLpJCFhEWn2ZdVL2W0Zy3WwzZkYlQYAbs8v2eVYI/k="
	w := newWatcher(t)
	p := startIn(t, []string{
		"OTEL_EXPORTER_OTLP_ENDPOINT=" + w.url, "OTEL_BSP_SCHEDULE_DELAY=50",
	}, args("serve", migrated(t), ports, []string{
		"--webhook-url=" + w.url + "/webhook", "--webhook-secret=" + secret, "--webhook-allow-private", "--webhook-window=500ms",
		"--participant=points=" + w.url + "/participant", "--participant-secret=" + secret, keySetting(contractKey),
	})...)
	likeIn(t, p.find(t, publicURL), "page", trace)

	parent := "00f067aa0ba902b7"
	for _, step := range []struct{ name, receiver string }{{put, ""}, {"drain", ""}, {"try", "/participant"}} {
		var s *spans.Span
		eventually(t, "there is a span "+step.name, func() bool { s = w.span(trace, step.name); return s != nil })
		if got := hex.EncodeToString(s.GetParentSpanId()); got != parent {
			t.Errorf("the parent of %s is %s, want %s", step.name, got, parent)
		}
		if s.GetEndTimeUnixNano() < s.GetStartTimeUnixNano() {
			t.Errorf("%s ends before it begins", step.name)
		}
		if step.receiver != "" {
			w.wantHeader(t, step.receiver, trace, s)
			continue // the notification is below the drain, too
		}
		parent = hex.EncodeToString(s.GetSpanId())
	}
	var notify *spans.Span
	eventually(t, "there is a span notify", func() bool { notify = w.span(trace, "notify"); return notify != nil })
	if got := hex.EncodeToString(notify.GetParentSpanId()); got != parent {
		t.Errorf("the parent of notify is %s, want the drain, %s", got, parent)
	}
	w.wantHeader(t, "/webhook", trace, notify)

	const paid = "5bf92f3577b34da6a3ce929d0e0e4737"
	askIn(t, "POST", p.find(t, publicURL)+"/v1/items/paid/votes", paid, byServer, sending(`{"ref":"pay-1","weight":5}`))
	for _, step := range []string{"POST /v1/items/{item}/votes", "drain", "notify"} {
		eventually(t, "of a vote there is a span "+step, func() bool { return w.span(paid, step) != nil })
	}
	if code := p.end(t, syscall.SIGTERM); code != exitOK {
		t.Errorf("serve ends with %d", code)
	}
}

func (w *watcher) wantHeader(t *testing.T, path, trace string, s *spans.Span) {
	t.Helper()
	want := "00-" + trace + "-" + hex.EncodeToString(s.GetSpanId()) + "-01"
	eventually(t, path+" is called within the trace", func() bool { return w.parentOf(path) == want })
}

func TestWithoutACollectorNothingIsTracedAndWrongVariablesAreNamed(t *testing.T) {
	t.Parallel()
	w := newWatcher(t)
	p := startIn(t, []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + w.url, "OTEL_TRACES_EXPORTER=none"}, args("serve", migrated(t), ports)...)
	likeIn(t, p.find(t, publicURL), "page", "4bf92f3577b34da6a3ce929d0e0e4736")
	if code := p.end(t, syscall.SIGTERM); code != exitOK || w.span("4bf92f3577b34da6a3ce929d0e0e4736", "drain") != nil {
		t.Errorf("serve ends with %d", code)
	}
	for _, wrong := range []string{"OTEL_TRACES_EXPORTER=zipkin", "OTEL_EXPORTER_OTLP_PROTOCOL=grpc"} {
		p := startIn(t, []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + w.url, wrong}, "config", "check", "--redis-url=redis://h", "--postgres-url=postgres://h/d")
		if code := p.end(t, 0); code != exitUsage || !strings.Contains(p.said(), "wrong: "+strings.SplitN(wrong, "=", 2)[0]) {
			t.Errorf("%s: %d %s", wrong, code, p.said())
		}
	}
}
