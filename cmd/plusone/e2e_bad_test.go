package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// bad is every kind of bad input, as it stands on the wire.
func bad(key string) []struct {
	name, head, body string
	status           int
} {
	const me = "X-User-ID: ann\r\n"
	server := "Authorization: Bearer " + key + "\r\nContent-Type: application/json\r\n"
	algNone := "Authorization: Bearer eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJzdWIiOiJhbm4iLCJleHAiOjQxMDI0NDQ4MDB9.\r\n"
	op := `{"item":"page","user":"ann","liked":true}`
	type row = struct {
		name, head, body string
		status           int
	}
	put := func(id string) string { return "PUT /v1/items/" + id + "/like" }
	return []row{
		{"no identity", put("page"), "", 401},
		{"an empty user", put("page") + "|X-User-ID: \r\n", "", 400},
		{"two users", put("page") + "|" + me + "X-User-ID: bob\r\n", "", 400},
		{"a user too long", put("page") + "|X-User-ID: " + strings.Repeat("u", 129) + "\r\n", "", 400},
		{"a user with a brace", put("page") + "|X-User-ID: a{b\r\n", "", 400},
		{"a user that is no UTF-8", put("page") + "|X-User-ID: a\xff\r\n", "", 400},
		{"an empty item", put("") + "|" + me, "", 400},
		{"an item too long", put(strings.Repeat("i", 201)) + "|" + me, "", 400},
		{"a control byte", put("a%01b") + "|" + me, "", 400},
		{"a brace", put("a%7Bb") + "|" + me, "", 400},
		{"a quote", put("a%22b") + "|" + me, "", 400},
		{"a NUL", put("a%00b") + "|" + me, "", 400},
		{"an escaped escape", put("a%252Fb") + "|" + me, "", 400},
		{"dots", put("..") + "|" + me, "", 400},
		{"escaped dots", put("%2E%2E") + "|" + me, "", 400},
		{"invalid UTF-8", put("a%FFb") + "|" + me, "", 400},
		{"a broken escape", put("a%2") + "|" + me, "", 400},
		{"white space", put("a%20b") + "|" + me, "", 400},
		{"an unknown route", "GET /v1/nothing|" + me, "", 404},
		{"a wrong method", "PATCH /v1/items/page/like|" + me, "", 405},
		{"a forged cursor", "GET /v1/items/page/likers?cursor=Zm9yZ2Vk|" + me, "", 400},
		{"a token with alg none", put("page") + "|" + algNone, "", 401},
		{"a wrong server key", "POST /v1/likes|Authorization: Bearer wrong\r\nContent-Type: application/json\r\n", `{"ops":[` + op + `]}`, 401},
		{"no server key", "POST /v1/likes|Content-Type: application/json\r\n", `{"ops":[` + op + `]}`, 401},
		{"a user, no server key", "POST /v1/likes|" + me + "Content-Type: application/json\r\n", `{"ops":[` + op + `]}`, 403},
		{"broken JSON", "POST /v1/likes|" + server, `{"ops":[`, 400},
		{"an unknown field", "POST /v1/likes|" + server, `{"ops":[],"x":1}`, 400},
		{"no ops", "POST /v1/likes|" + server, `{"ops":[]}`, 400},
		{"1001 ops", "POST /v1/likes|" + server, `{"ops":[` + strings.Repeat(op+",", 1000) + op + `]}`, 400},
		{"one bad op among good ones", "POST /v1/likes|" + server, `{"ops":[` + op + `,{"item":"a b","user":"ann","liked":true}]}`, 400},
		{"101 items", "GET /v1/items?id=a" + strings.Repeat("&id=a", 100) + "|" + me, "", 400},
		{"a malformed receipt", "GET /v1/receipts/1-2|" + me, "", 400},
		{"headers too large", put("page") + "|" + me + "X-Big: " + strings.Repeat("x", 20_000) + "\r\n", "", 431},
		{"a body too large", "POST /v1/likes|" + server, strings.Repeat("x", 2<<20), 413},
		{"no HTTP at all", "", "hello\r\n\r\n", 400},
	}
}

func TestBadInputIsNamedAndWritesNothing(t *testing.T) {
	t.Parallel()
	h := dev(t, filepath.Join(t.TempDir(), "data"))
	h.ask(t, "PUT", likeOf("seen"), "ann") // so that there is something to be changed
	h.drained(t)
	before := h.everything(t)
	for _, row := range bad(h.key) {
		t.Run(row.name, func(t *testing.T) {
			res := raw(t, h.api, row.head, row.body)
			defer func() { _ = res.Body.Close() }()
			body, err := io.ReadAll(res.Body)
			must(t, err)
			var problem struct {
				Status          int
				Code, RequestID string `json:",omitempty"`
			}
			if err := json.Unmarshal(body, &problem); err != nil {
				t.Errorf("%d %s", res.StatusCode, body)
			}
			if res.StatusCode != row.status || problem.Status != row.status || problem.Code == "" ||
				res.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("got %d %s %s, want %d", res.StatusCode, res.Header.Get("Content-Type"), body, row.status)
			}
		})
	}
	h.drained(t)
	if after := h.everything(t); after != before {
		t.Errorf("bad input has written something:\n%s\nbefore:\n%s", after, before)
	}
}

// raw sends bytes as they are: "request line|headers" and a body.
func raw(t *testing.T, url, head, body string) *http.Response {
	t.Helper()
	conn, err := net.DialTimeout("tcp", strings.TrimPrefix(url, "http://"), 5*time.Second)
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	must(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	text := body
	if line, headers, _ := strings.Cut(head, "|"); line != "" {
		text = fmt.Sprintf("%s HTTP/1.1\r\nHost: localhost\r\n%sContent-Length: %d\r\n\r\n%s", line, headers, len(body), body)
	}
	go func() { _, _ = io.WriteString(conn, text) }() // the answer may come before the end
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	must(t, err)
	return res
}

// everything is the whole state of both stores, short of what tasks leave.
func (h *house) everything(t *testing.T) string {
	t.Helper()
	var lines []string
	keys, err := h.rdb.Keys(t.Context(), "p1:*").Result()
	must(t, err)
	for _, k := range keys {
		switch {
		case strings.HasSuffix(k, ":counts"):
			lines = append(lines, k+fmt.Sprint(h.rdb.HGetAll(t.Context(), k).Val()))
		case strings.Contains(k, ":likers:"):
			lines = append(lines, k+fmt.Sprint(h.rdb.SMembers(t.Context(), k).Val()))
		case strings.HasSuffix(k, ":log"):
			lines = append(lines, k+fmt.Sprint(h.rdb.XInfoStream(t.Context(), k).Val().LastGeneratedID))
		}
	}
	var rows string
	must(t, h.pool.QueryRow(t.Context(), `
		SELECT concat((SELECT json_agg(l) FROM likes l), (SELECT json_agg(c) FROM item_counts c), (SELECT count(*) FROM repairs))`).Scan(&rows))
	return sortedLines(append(lines, rows))
}

func sortedLines(lines []string) string {
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
