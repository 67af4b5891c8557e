package api

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"plusone/hotpath/like"
)

func TestBadInputIsRefusedAndNothingIsWritten(t *testing.T) {
	s := start(t, nil)
	op := `{"item":"a","user":"u","liked":true}`
	ops := func(more string) string { return `{"ops":[` + op + `,` + more + `]}` }
	u, server := as("u"), asServer()
	for _, c := range []struct {
		method, target, body string
		headers              []string
		status               int
		code                 string
	}{
		// Nobody asks.
		{"PUT", "/v1/items/a/like", "", nil, 401, "no_identity"},
		{"DELETE", "/v1/items/a/like", "", nil, 401, "no_identity"},
		{"POST", "/v1/items/a/like/toggle", "", nil, 401, "no_identity"},
		{"PUT", "/v1/items/a/like", "", []string{server}, 401, "no_identity"},
		{"POST", "/v1/likes", ops(op), nil, 401, "no_identity"},
		{"POST", "/v1/likes", ops(op), []string{u}, 403, "forbidden"},
		{"GET", "/v1/users/u/likes", "", nil, 401, "no_identity"},
		{"GET", "/v1/users/v/likes", "", []string{u}, 403, "forbidden"},
		// Users that are none.
		{"PUT", "/v1/items/a/like", "", []string{as("")}, 400, "bad_id"},
		{"PUT", "/v1/items/a/like", "", []string{as("a b")}, 400, "bad_id"},
		{"PUT", "/v1/items/a/like", "", []string{as("a\xff")}, 400, "bad_id"},
		{"PUT", "/v1/items/a/like", "", []string{as("%61")}, 400, "bad_id"},
		{"PUT", "/v1/items/a/like", "", []string{as(strings.Repeat("u", 129))}, 400, "bad_id"},
		{"PUT", "/v1/items/a/like", "", []string{u, as("v")}, 400, "bad_request"},
		{"PUT", "/v1/items/a/like", "", []string{u, "x-user-id: u"}, 400, "bad_request"},
		{"GET", "/v1/users/a%20b/likes", "", []string{server}, 400, "bad_id"},
		// Items that are none.
		{"PUT", "/v1/items//like", "", []string{u}, 400, "bad_id"},
		{"GET", "/v1/items/", "", nil, 400, "bad_id"},
		{"PUT", "/v1/items/" + strings.Repeat("x", 201) + "/like", "", []string{u}, 400, "bad_id"},
		{"PUT", "/v1/items/../like", "", []string{u}, 400, "bad_id"},
		{"PUT", "/v1/items/./like", "", []string{u}, 400, "bad_id"},
		{"PUT", "/v1/items/%2e%2e/like", "", []string{u}, 400, "bad_id"},
		{"PUT", "/v1/items/%00/like", "", []string{u}, 400, "bad_id"},
		{"PUT", "/v1/items/a%0D%0Ab/like", "", []string{u}, 400, "bad_id"},
		{"PUT", "/v1/items/a%252Fb/like", "", []string{u}, 400, "bad_id"},
		{"PUT", "/v1/items/%7Ba%7D/like", "", []string{u}, 400, "bad_id"},
		{"PUT", "/v1/items/{a}/like", "", []string{u}, 400, "bad_id"},
		{"PUT", "/v1/items/%22a/like", "", []string{u}, 400, "bad_id"},
		{"PUT", "/v1/items/%5Ca/like", "", []string{u}, 400, "bad_id"},
		{"PUT", "/v1/items/a%20b/like", "", []string{u}, 400, "bad_id"},
		{"PUT", "/v1/items/%C2%A0/like", "", []string{u}, 400, "bad_id"},
		{"PUT", "/v1/items/%ff/like", "", []string{u}, 400, "bad_id"},
		{"PUT", "/v1/items/a\xff/like", "", []string{u}, 400, "bad_id"},
		{"PUT", "/v1/items/%ED%A0%80/like", "", []string{u}, 400, "bad_id"},
		{"PUT", "/v1/items/a%/like", "", []string{u}, 400, "bad_path"},
		{"PUT", "/v1/items/a%2/like", "", []string{u}, 400, "bad_path"},
		{"PUT", "/v1/items/a%zz/like", "", []string{u}, 400, "bad_path"},
		{"PUT", "/v1/items/a/like#x", "", []string{u}, 400, "bad_path"},
		// Queries.
		{"GET", "/v1/items", "", nil, 400, "bad_query"},
		{"GET", "/v1/items?ids=a", "", nil, 400, "bad_query"},
		{"GET", "/v1/items?id=", "", nil, 400, "bad_id"},
		{"GET", "/v1/items?id=a&id=%2525", "", nil, 400, "bad_id"},
		{"GET", "/v1/items?id=a+b", "", nil, 400, "bad_id"},
		{"GET", "/v1/items?id=%z", "", nil, 400, "bad_query"},
		{"GET", "/v1/items?" + strings.Repeat("id=a&", 101), "", nil, 400, "bad_query"},
		{"GET", "/v1/items/a/likers?limit=0", "", nil, 400, "bad_query"},
		{"GET", "/v1/items/a/likers?limit=1001", "", nil, 400, "bad_query"},
		{"GET", "/v1/items/a/likers?limit=-1", "", nil, 400, "bad_query"},
		{"GET", "/v1/items/a/likers?limit=x", "", nil, 400, "bad_query"},
		{"GET", "/v1/items/a/likers?limit=1&limit=2", "", nil, 400, "bad_query"},
		{"GET", "/v1/items/a/likers?cursor=" + strings.Repeat("A", 2049), "", nil, 400, "bad_query"},
		{"GET", "/v1/items/a/likers?cursor=AAAA", "", nil, 400, "bad_cursor"},
		{"GET", "/v1/notifications?after=-1", "", []string{server}, 400, "bad_query"},
		{"GET", "/v1/notifications?after=99999999999999999999", "", []string{server}, 400, "bad_query"},
		{"GET", "/v1/receipts/", "", nil, 400, "bad_receipt"},
		{"GET", "/v1/receipts/1-2-3-4", "", nil, 400, "bad_receipt"},
		{"GET", "/v1/receipts/01-2-3", "", nil, 400, "bad_receipt"},
		// Ways that lead nowhere.
		{"GET", "/", "", nil, 404, "no_route"},
		{"GET", "/v1", "", nil, 404, "no_route"},
		{"GET", "/v1/", "", nil, 404, "no_route"},
		{"GET", "/v2/items/a", "", nil, 404, "no_route"},
		{"GET", "//v1/items/a", "", nil, 404, "no_route"},
		{"GET", "/v1//items/a", "", nil, 404, "no_route"},
		{"GET", "/V1/items/a", "", nil, 404, "no_route"},
		{"GET", "/v1/%69tems/a", "", nil, 404, "no_route"},
		{"GET", "/x/../v1/items/a", "", nil, 404, "no_route"},
		{"PUT", "/v1/items/a/b/like", "", []string{u}, 404, "no_route"},
		{"PUT", "/v1/items/a/like/", "", []string{u}, 404, "no_route"},
		{"PUT", "/v1/items/x/../a/like", "", []string{u}, 404, "no_route"},
		{"GET", "/v1/users/u", "", []string{u}, 404, "no_route"},
		{"GET", "/v1/stream/x?id=a", "", nil, 404, "no_route"},
		{"POST", "/v1/likes/", ops(op), []string{server}, 404, "no_route"},
		// Methods.
		{"GET", "/v1/items/a/like", "", []string{u}, 405, "method_not_allowed"},
		{"POST", "/v1/items/a/like", "", []string{u}, 405, "method_not_allowed"},
		{"PUT", "/v1/items/a", "", []string{u}, 405, "method_not_allowed"},
		{"GET", "/v1/likes", "", []string{server}, 405, "method_not_allowed"},
		{"OPTIONS", "/v1/items/a/like", "", []string{u}, 405, "method_not_allowed"},
		{"put", "/v1/items/a/like", "", []string{u}, 405, "method_not_allowed"},
		{"BREW", "/v1/items/a/like", "", []string{u}, 405, "method_not_allowed"},
		// Bodies.
		{"POST", "/v1/likes", ops(op), []string{server, "Content-Encoding: gzip"}, 415, "unsupported_media_type"},
		{"POST", "/v1/likes", "", []string{server, "Content-Type: application/json"}, 400, "bad_json"},
		{"POST", "/v1/likes", "", []string{server}, 415, "unsupported_media_type"},
		{"POST", "/v1/likes", "{", []string{server}, 400, "bad_json"},
		{"POST", "/v1/likes", "null", []string{server}, 400, "bad_json"},
		{"POST", "/v1/likes", "[" + op + "]", []string{server}, 400, "bad_json"},
		{"POST", "/v1/likes", `{"ops":[]}`, []string{server}, 400, "bad_json"},
		{"POST", "/v1/likes", `{"ops":null}`, []string{server}, 400, "bad_json"},
		{"POST", "/v1/likes", `{"ops":{}}`, []string{server}, 400, "bad_json"},
		{"POST", "/v1/likes", `{"OPS":[` + op + `]}`, []string{server}, 400, "bad_json"},
		{"POST", "/v1/likes", `{"ops":[` + op + `],"ops":[` + op + `]}`, []string{server}, 400, "bad_json"},
		{"POST", "/v1/likes", `{"ops":[` + op + `],"x":1}`, []string{server}, 400, "bad_json"},
		{"POST", "/v1/likes", `{"ops":[` + op + `]}x`, []string{server}, 400, "bad_json"},
		{"POST", "/v1/likes", `{"ops":[` + op + `,]}`, []string{server}, 400, "bad_json"},
		{"POST", "/v1/likes", `{"ops":[` + op + `}`, []string{server}, 400, "bad_json"},
		{"POST", "/v1/likes", opsBody(1001), []string{server}, 400, "bad_json"},
		{"POST", "/v1/likes", ops(`{"item":"a","user":"u"}`), []string{server}, 400, "bad_json"},
		{"POST", "/v1/likes", ops(`{"item":"a","user":"u","liked":1}`), []string{server}, 400, "bad_json"},
		{"POST", "/v1/likes", ops(`{"item":"a","user":"u","liked":"true"}`), []string{server}, 400, "bad_json"},
		{"POST", "/v1/likes", ops(`{"item":"a","user":"u","liked":null}`), []string{server}, 400, "bad_json"},
		{"POST", "/v1/likes", ops(`{"item":7,"user":"u","liked":true}`), []string{server}, 400, "bad_json"},
		{"POST", "/v1/likes", ops(`{"item":"a","user":"u","liked":true,"liked":false}`), []string{server}, 400, "bad_json"},
		{"POST", "/v1/likes", ops(`{"item":"a","item":"b","user":"u"}`), []string{server}, 400, "bad_json"},
		{"POST", "/v1/likes", ops(`{"item":"a","user":"u","liked":true,"weight":2}`), []string{server}, 400, "bad_json"},
		{"POST", "/v1/likes", ops(`{"Item":"a","user":"u","liked":true}`), []string{server}, 400, "bad_json"},
		{"POST", "/v1/likes", ops("{\"item\":\"a\x01\",\"user\":\"u\",\"liked\":true}"), []string{server}, 400, "bad_json"},
		{"POST", "/v1/likes", ops("{\"item\":\"a\xff\",\"user\":\"u\",\"liked\":true}"), []string{server}, 400, "bad_json"},
		{"POST", "/v1/likes", ops(`{"item":"\ud800","user":"u","liked":true}`), []string{server}, 400, "bad_json"},
		{"POST", "/v1/likes", ops(`{"item":"\x61","user":"u","liked":true}`), []string{server}, 400, "bad_json"},
		{"POST", "/v1/likes", ops(`{"item":"","user":"u","liked":true}`), []string{server}, 400, "bad_id"},
		{"POST", "/v1/likes", ops(`{"item":"a b","user":"u","liked":true}`), []string{server}, 400, "bad_id"},
		{"POST", "/v1/likes", ops(`{"item":"\u0000","user":"u","liked":true}`), []string{server}, 400, "bad_id"},
		{"POST", "/v1/likes", ops(`{"item":"a","user":"%2F","liked":true}`), []string{server}, 400, "bad_id"},
	} {
		name := fmt.Sprintf("%s %.60s %.90s", c.method, c.target, strings.TrimPrefix(c.body, `{"ops":[`+op))
		t.Run(name, func(t *testing.T) {
			a := s.do(t, c.method, c.target, c.body, c.headers...)
			p := wantProblem(t, a, c.status, c.code)
			if strings.HasPrefix(c.body, `{"ops":[`+op+`,{`) && c.status == 400 && c.code != "bad_request" && p["op"] != 1.0 {
				t.Errorf("the problem does not name op 1: %s", a.body)
			}
			if c.status == 401 && a.header.Get("WWW-Authenticate") == "" || c.status == 405 && a.header.Get("Allow") == "" {
				t.Errorf("headers %v", a.header)
			}
		})
	}
	if n := s.store.applied(); n != 0 {
		t.Errorf("Apply was called %d times", n)
	}
}

func TestWhatIsNotARequestIsAProblemToo(t *testing.T) {
	s := start(t, func(o *Options) { o.MaxHeader = 2048 })
	for name, c := range map[string]struct {
		raw    string
		status int
		code   string
	}{
		"no protocol":      {"PUT /v1/items/a/like\r\n\r\n", 400, "bad_request"},
		"no host":          {"PUT /v1/items/a/like HTTP/1.1\r\nX-User-ID: u\r\n\r\n", 400, "bad_request"},
		"two lengths":      {"PUT /v1/items/a/like HTTP/1.1\r\nHost: h\r\nX-User-ID: u\r\nContent-Length: 0\r\nContent-Length: 1\r\n\r\n", 400, "bad_request"},
		"odd length":       {"PUT /v1/items/a/like HTTP/1.1\r\nHost: h\r\nX-User-ID: u\r\nContent-Length: +1\r\n\r\nx", 400, "bad_request"},
		"odd encoding":     {"PUT /v1/items/a/like HTTP/1.1\r\nHost: h\r\nX-User-ID: u\r\nTransfer-Encoding: xyz\r\n\r\n", 400, "bad_request"},
		"broken chunk":     {"PUT /v1/items/a/like HTTP/1.1\r\nHost: h\r\nX-User-ID: u\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n", 400, "bad_request"},
		"space in a name":  {"PUT /v1/items/a/like HTTP/1.1\r\nHost: h\r\nX-User-ID : u\r\n\r\n", 400, "bad_request"},
		"control in value": {"PUT /v1/items/a/like HTTP/1.1\r\nHost: h\r\nX-User-ID: u\x01\r\n\r\n", 400, "bad_request"},
		"control in path":  {"PUT /v1/items/a\x01/like HTTP/1.1\r\nHost: h\r\nX-User-ID: u\r\n\r\n", 400, "bad_request"},
		"long path":        {request("PUT", "/v1/items/"+strings.Repeat("x", 4096)+"/like", "", as("u")), 431, "headers_too_large"},
		"long header":      {request("PUT", "/v1/items/a/like", "", as("u"), "X: "+strings.Repeat("x", 4096)), 431, "headers_too_large"},
		"TLS":              {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, "bad_request"},
	} {
		t.Run(name, func(t *testing.T) {
			a := s.raw(t, c.raw)
			wantProblem(t, a, c.status, c.code)
			if !a.close {
				t.Error("the connection stays open")
			}
			if strings.Contains(string(a.body), "u\x01") || strings.Contains(s.logged.String(), "X-User-ID") {
				t.Errorf("the answer or the log quotes the request: %s %s", a.body, s.logged)
			}
		})
	}
	if n := s.store.applied(); n != 0 {
		t.Errorf("Apply was called %d times", n)
	}
}

func TestStoreErrorsAreProblemsWithoutTheirInsides(t *testing.T) {
	s := start(t, nil)
	const secret = "dial tcp 10.1.2.3:6379"
	for _, c := range []struct {
		err       error
		put, read string
	}{
		{like.ErrBusy, "busy", "busy"},
		{like.ErrUnavailable, "unavailable", "unavailable"},
		{like.ErrUnknown, "outcome_unknown", "outcome_unknown"},
		{context.DeadlineExceeded, "outcome_unknown", "timeout"},
		{errors.Join(like.ErrUnavailable, context.DeadlineExceeded), "unavailable", "unavailable"},
		{errors.New("redis: nil"), "internal", "internal"},
	} {
		s.store.mu.Lock()
		s.store.fail = fmt.Errorf("%s: %w", secret, c.err)
		s.store.mu.Unlock()
		for _, r := range []struct{ method, target, code string }{
			{"PUT", "/v1/items/a/like", c.put},
			{"POST", "/v1/items/a/like/toggle", c.put},
			{"GET", "/v1/items/a", c.read},
			{"GET", "/v1/items?id=a", c.read},
			{"GET", "/v1/items/a/likers", c.read},
			{"GET", "/v1/users/u/likes", c.read},
		} {
			a := s.do(t, r.method, r.target, "", as("u"))
			status := 503
			if r.code == "internal" {
				status = 500
			}
			wantProblem(t, a, status, r.code)
			if strings.Contains(string(a.body), secret) {
				t.Errorf("%s %s tells %s", r.method, r.target, a.body)
			}
			if (a.header.Get("Retry-After") != "") != (status == 503) {
				t.Errorf("%d with Retry-After %q", status, a.header.Get("Retry-After"))
			}
		}
	}
	if !strings.Contains(s.logged.String(), secret) {
		t.Error("the log does not say what was wrong")
	}
}
