package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"plusone/hotpath/ui"
)

// contract asks servers what the description says, and remembers what has been
// answered.
type contract struct {
	doc        *openapi3.T
	operations map[string]*routers.Route // by id
	calls      map[string]*routers.Route // of others by plusone: what the description calls webhooks
	answered   map[string]bool           // "id status"
	client     *http.Client
}

func newContract(t *testing.T) *contract {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(ui.OpenAPI().Body)
	must(t, err)
	for _, schema := range doc.Components.Schemas {
		noOthers(schema)
	}
	c := &contract{doc: doc, operations: map[string]*routers.Route{}, calls: map[string]*routers.Route{}, answered: map[string]bool{}, client: newClient(t)}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			c.operations[op.OperationID] = &routers.Route{Spec: doc, Path: path, PathItem: item, Method: method, Operation: op}
		}
	}
	for name, item := range doc.Webhooks {
		for method, op := range item.Operations() {
			c.calls[op.OperationID] = &routers.Route{Spec: doc, Path: name, PathItem: item, Method: method, Operation: op}
		}
	}
	for _, media := range []string{"text/event-stream", "text/html", "text/javascript"} {
		openapi3filter.RegisterBodyDecoder(media, openapi3filter.RegisteredBodyDecoder("text/plain"))
	}
	return c
}

func newClient(t *testing.T) *http.Client {
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}
}

// noOthers makes objects with members that nobody has described wrong: clients have to
// bear them, the server must not have them.
func noOthers(s *openapi3.SchemaRef) {
	if s == nil || s.Ref != "" {
		return
	}
	if len(s.Value.Properties) > 0 {
		s.Value.AdditionalProperties.Has = new(bool)
	}
	for _, p := range s.Value.Properties {
		noOthers(p)
	}
	noOthers(s.Value.Items)
}

// at are the values of a path's parameters.
type at map[string]string

// said is an answer that the description allows.
type said struct {
	header http.Header
	text   string
	json   map[string]any
}

// ask calls an operation of the server at base and wants a status. What is asked and
// what is answered must be as described; what a wanted 400, 413 or 415 is about need not.
func (c *contract) ask(t *testing.T, base, operation string, want int, params at, changes ...func(*http.Request)) said {
	t.Helper()
	route := c.operations[operation]
	if route == nil {
		t.Fatalf("there is no operation %s", operation)
	}
	if route.Operation.Responses.Status(want) == nil {
		t.Errorf("%s: %d is not described by itself", operation, want)
	}
	path := route.Path
	for name, value := range params {
		path = strings.ReplaceAll(path, "{"+name+"}", url.PathEscape(value))
	}
	req, err := http.NewRequestWithContext(t.Context(), route.Method, base+path, nil)
	must(t, err)
	for _, change := range changes {
		change(req)
	}
	o := &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true, SkipSettingDefaults: true}
	input := &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route, Options: o}
	if !slices.Contains([]int{400, 413, 415}, want) {
		if err := openapi3filter.ValidateRequest(t.Context(), input); err != nil {
			t.Errorf("%s: what is asked is not as described: %v", operation, err)
		}
	}
	res, err := c.client.Do(req)
	must(t, err)
	defer res.Body.Close()
	s := said{res.Header, body(t, res), nil}
	if res.StatusCode != want {
		t.Fatalf("%s: %d %s, want %d", operation, res.StatusCode, s.text, want)
	}
	if err := openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: want, Header: res.Header, Body: io.NopCloser(strings.NewReader(s.text)), Options: o,
	}); err != nil {
		t.Errorf("%s: %d %v %s is not as described: %v", operation, want, res.Header, s.text, err)
	}
	if strings.HasSuffix(res.Header.Get("Content-Type"), "json") {
		must(t, json.Unmarshal([]byte(s.text), &s.json))
	}
	c.answered[fmt.Sprint(operation, " ", want)] = true
	return s
}

// called holds a call that plusone has made of somebody, and the answer, to the description.
func (c *contract) called(t *testing.T, operation string, h heard) {
	t.Helper()
	req := httptest.NewRequest(http.MethodPost, "http://receiver.example/", strings.NewReader(h.body))
	req.Header = h.header
	o := &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true}
	input := &openapi3filter.RequestValidationInput{Request: req, Route: c.calls[operation], Options: o}
	if err := openapi3filter.ValidateRequest(t.Context(), input); err != nil {
		t.Errorf("%s: %s is not as described: %v", operation, h.body, err)
	}
	if err := openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: h.status, Header: h.answerHeader, Body: io.NopCloser(strings.NewReader(h.answer)), Options: o,
	}); err != nil {
		t.Errorf("%s: the answer %d %s is not as described: %v", operation, h.status, h.answer, err)
	}
	c.answered[operation] = true
}

// body is an answer's body, of a stream its first event.
func body(t *testing.T, res *http.Response) string {
	t.Helper()
	if res.Header.Get("Content-Type") != "text/event-stream" {
		b, err := io.ReadAll(res.Body)
		must(t, err)
		return string(b)
	}
	var b bytes.Buffer
	for r := bufio.NewReader(res.Body); !strings.Contains(b.String(), "data:") || !strings.HasSuffix(b.String(), "\n\n"); {
		line, err := r.ReadString('\n')
		must(t, err)
		b.WriteString(line)
	}
	return b.String()
}

// complete wants every operation, and every status that is described by itself, to have
// been answered.
func (c *contract) complete(t *testing.T) {
	t.Helper()
	for id := range c.calls {
		if !c.answered[id] {
			t.Errorf("nobody was called by %s", id)
		}
	}
	for id, route := range c.operations {
		for status := range route.Operation.Responses.Map() {
			if status != "default" && !c.answered[id+" "+status] {
				t.Errorf("nobody has provoked %s of %s", status, id)
			}
		}
	}
}

// What requests are made of.

func asUser(user string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("X-User-ID", user) }
}

func with(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func query(q string) func(*http.Request) {
	return func(r *http.Request) { r.URL.RawQuery = q }
}

func sending(text string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Set("Content-Type", "application/json")
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }
	}
}
