package api

import (
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"plusone/hotpath/like"
)

func TestALikeTwiceChangesNothing(t *testing.T) {
	s := start(t, nil)
	first := s.do(t, "PUT", "/v1/items/a/like", "", as("u"))
	wantBody(t, first, `{"item":"a","user":"u","liked":true,"changed":true,"count":1,"receipt":"3-1700000000000-1"}`)
	wantBody(t, s.do(t, "PUT", "/v1/items/a/like", "", as("u")),
		`{"item":"a","user":"u","liked":true,"changed":false,"count":1}`)
	wantBody(t, s.do(t, "DELETE", "/v1/items/a/like", "", as("u")),
		`{"item":"a","user":"u","liked":false,"changed":true,"count":0,"receipt":"3-1700000000000-2"}`)
	wantBody(t, s.do(t, "DELETE", "/v1/items/a/like", "", as("u")),
		`{"item":"a","user":"u","liked":false,"changed":false,"count":0}`)
}

func TestATogglePairEndsWhereItBegan(t *testing.T) {
	s := start(t, nil)
	wantBody(t, s.do(t, "POST", "/v1/items/a/like/toggle", "", as("u")),
		`{"item":"a","user":"u","liked":true,"changed":true,"count":1,"action":"like","receipt":"3-1700000000000-1"}`)
	wantBody(t, s.do(t, "POST", "/v1/items/a/like/toggle", "", as("u")),
		`{"item":"a","user":"u","liked":false,"changed":true,"count":0,"action":"unlike","receipt":"3-1700000000000-2"}`)
}

func TestABodyOfALikeMeansNothing(t *testing.T) {
	s := start(t, nil)
	if a := s.do(t, "PUT", "/v1/items/a/like", `{"user":"mallory"}`, as("u")); a.json(t)["user"] != "u" {
		t.Fatalf("%s", a.body)
	}
}

func TestAReadingSaysLikedOnlyToSomebody(t *testing.T) {
	s := start(t, nil)
	s.do(t, "PUT", "/v1/items/a/like", "", as("u"))
	const rest = `"as_of":"2023-11-14T22:13:20.042Z","source":"redis"}`
	wantBody(t, s.do(t, "GET", "/v1/items/a", ""), `{"item":"a","count":1,`+rest)
	wantBody(t, s.do(t, "GET", "/v1/items/a", "", as("u")), `{"item":"a","count":1,"liked":true,`+rest)
	wantBody(t, s.do(t, "GET", "/v1/items/a", "", as("v")), `{"item":"a","count":1,"liked":false,`+rest)
	wantBody(t, s.do(t, "GET", "/v1/items/never", ""), `{"item":"never","count":0,`+rest)
	wantBody(t, s.do(t, "GET", "/v1/items?id=b&id=a&id=b", ""),
		`{"items":[{"item":"b","count":0,`+rest+`,{"item":"a","count":1,`+rest+`,{"item":"b","count":0,`+rest+`]}`)
}

func TestHeadAnswersAsGetWithoutABody(t *testing.T) {
	s := start(t, nil)
	get, head := s.do(t, "GET", "/v1/items/a", ""), s.do(t, "HEAD", "/v1/items/a", "")
	if head.status != 200 || len(head.body) != 0 || head.header.Get("Content-Length") != fmt.Sprint(len(get.body)) {
		t.Fatalf("%d %v %q", head.status, head.header, head.body)
	}
}

func TestAnEscapedSlashBelongsToTheID(t *testing.T) {
	s := start(t, nil)
	for target, item := range map[string]string{
		"/v1/items/blog%2Fpost/like":                       "blog/post",
		"/v1/items/%2Fblog%2f%2Fpost%2F/like":              "/blog//post/",
		"/v1/items/a%2F..%2Fb/like":                        "a/../b",
		"/v1/items/a+b/like":                               "a+b",
		"/v1/items/caf%C3%A9/like":                         "café",
		"/v1/items/caf\xc3\xa9/like":                       "café",
		"/v1/items/a&b=c;d:e/like":                         "a&b=c;d:e",
		"/v1/items/https:%2F%2Fexample.org%2Fx%3Fy=1/like": "https://example.org/x?y=1",
		"http://likes/v1/items/absolute/like":              "absolute",
		"/v1/items/" + strings.Repeat("x", 200) + "/like":  strings.Repeat("x", 200),
	} {
		a := s.do(t, "PUT", target, "", as("u"))
		if a.status != 200 || a.json(t)["item"] != item {
			t.Errorf("%s: %d %s, want %s", target, a.status, a.body, item)
		}
		a = s.do(t, "GET", "/v1/items?x=1&id="+url.QueryEscape(item), "", as("u"))
		if a.status != 200 || !strings.Contains(string(a.body), `"liked":true`) {
			t.Errorf("%s: %d %s", item, a.status, a.body)
		}
	}
}

func TestManyOpsAreAnsweredOneByOne(t *testing.T) {
	s := start(t, nil)
	s.store.failOp = func(op like.Op) error {
		return map[string]error{"busy": like.ErrBusy, "lost": like.ErrUnknown}[op.Item]
	}
	a := s.do(t, "POST", "/v1/likes", ` {"ops" : [{"item":"a","user":"u","liked":true},
		{"liked":true,"user":"u","item":"busy"}, {"item":"a","user":"u","liked":false},{"item":"lost","user":"u","liked":true},
		{"item":"\u0061\ud83d\ude00\/","user":"u\u00e9","liked":false}]}`+"\n", asServer())
	detail := func(err error) string { b, _ := json.Marshal(explain(err).detail); return string(b) }
	wantBody(t, a, `{"results":[{"item":"a","user":"u","liked":true,"changed":true,"count":1,"receipt":"3-1700000000000-1"},`+
		`{"item":"busy","user":"u","error":{"code":"busy","detail":`+detail(like.ErrBusy)+`}},`+
		`{"item":"a","user":"u","liked":false,"changed":true,"count":0,"receipt":"3-1700000000000-2"},`+
		`{"item":"lost","user":"u","error":{"code":"outcome_unknown","detail":`+detail(like.ErrUnknown)+`}},`+
		`{"item":"a😀/","user":"ué","liked":false,"changed":false,"count":0}]}`)
}

func TestManyOpsThatAllFailAreAFailure(t *testing.T) {
	s := start(t, nil)
	body := `{"ops":[{"item":"a","user":"u","liked":true},{"item":"b","user":"u","liked":true}]}`
	for _, c := range []struct {
		a, b error
		code string
	}{
		{like.ErrBusy, like.ErrUnavailable, "busy"},
		{like.ErrUnavailable, like.ErrBusy, "unavailable"},
		{like.ErrBusy, like.ErrUnknown, "outcome_unknown"},
	} {
		s.store.mu.Lock()
		s.store.failOp = func(op like.Op) error { return map[string]error{"a": c.a, "b": c.b}[op.Item] }
		s.store.mu.Unlock()
		a := s.do(t, "POST", "/v1/likes", body, asServer())
		wantProblem(t, a, 503, c.code)
		if a.header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	}
}

func TestAThousandOpsAreAllowed(t *testing.T) {
	s := start(t, nil)
	a := s.do(t, "POST", "/v1/likes", opsBody(1000), asServer())
	if n := len(a.json(t)["results"].([]any)); a.status != 200 || n != 1000 {
		t.Fatalf("%d, %d results", a.status, n)
	}
}

func opsBody(n int) string {
	ops := make([]string, n)
	for i := range ops {
		ops[i] = fmt.Sprintf(`{"item":"i%d","user":"u","liked":true}`, i)
	}
	return `{"ops":[` + strings.Join(ops, ",") + `]}`
}

func TestListsGoOnWhereTheyStopped(t *testing.T) {
	s := start(t, nil)
	for i := range 5 {
		s.do(t, "PUT", "/v1/items/a/like", "", as(fmt.Sprintf("u%d", i)))
		s.do(t, "PUT", fmt.Sprintf("/v1/items/i%d/like", i), "", as("u"))
	}
	for _, list := range []struct{ target, key, id, want string }{
		{"/v1/items/a/likers", "likers", "user", "u0 u1|u2 u3|u4"},
		{"/v1/users/u/likes", "likes", "item", "i4 i3|i2 i1|i0"},
	} {
		var pages []string
		cursor := ""
		for {
			p := s.do(t, "GET", list.target+"?limit=2&cursor="+cursor, "", as("u")).json(t)
			var ids []string
			for _, row := range p[list.key].([]any) {
				row := row.(map[string]any)
				ids = append(ids, row[list.id].(string))
				if _, err := time.Parse("2006-01-02T15:04:05.000Z", row["at"].(string)); err != nil {
					t.Error(err)
				}
			}
			pages = append(pages, strings.Join(ids, " "))
			next, ok := p["next_cursor"].(string)
			if !ok {
				break
			}
			cursor = next
		}
		if got := strings.Join(pages, "|"); got != list.want {
			t.Errorf("%s: %s, want %s", list.target, got, list.want)
		}
	}
	wantBody(t, s.do(t, "GET", "/v1/items/never/likers", ""), `{"likers":[]}`)
}

func TestAReceiptTellsHowFarItIs(t *testing.T) {
	s := start(t, nil)
	s.do(t, "PUT", "/v1/items/a/like", "", as("u"))
	wantBody(t, s.do(t, "GET", "/v1/receipts/3-1700000000000-1", "", as("u")),
		`{"receipt":"3-1700000000000-1","state":"accepted","accepted_at":"2023-11-14T22:13:20.000Z"}`)
	if s.store.askedBy != "u" {
		t.Error("the receipt was not asked for as the user")
	}
	s.store.receipts[like.Receipt{Shard: 3, Version: 1_700_000_000_000<<20 | 1}] = like.Compensated
	s.store.rejectedBy, s.store.reason = "fraud", `a "bot"`
	wantBody(t, s.do(t, "GET", "/v1/receipts/3-1700000000000-1", "", as("u")), `{"receipt":"3-1700000000000-1",`+
		`"state":"compensated","by":"fraud","reason":"a \u0022bot\u0022","accepted_at":"2023-11-14T22:13:20.000Z"}`)
	wantProblem(t, s.do(t, "GET", "/v1/receipts/4-1700000000000-1", ""), 404, "not_found")
	r := like.Receipt{Shard: 4095, Version: 1_700_000_000_000<<20 | like.MaxSeq}
	if got := string(appendReceipt(nil, r)); got != `"`+r.String()+`"` {
		t.Errorf("%s is not %s", got, r)
	}
}

func TestNotificationsAreForServersToCatchUp(t *testing.T) {
	s := start(t, nil)
	wantBody(t, s.do(t, "GET", "/v1/notifications", "", asServer()), `{"notifications":[],"next_after":0}`)
	for i := range int64(3) {
		s.store.told = append(s.store.told, like.Notification{Seq: i + 5, ID: fmt.Sprint("n", i), Item: "a", State: "exhausted"})
	}
	p := s.do(t, "GET", "/v1/notifications?after=5&limit=1", "", asServer()).json(t)
	if n := p["notifications"].([]any); len(n) != 1 || n[0].(map[string]any)["seq"] != 6.0 || p["next_after"] != 6.0 {
		t.Errorf("%v", p)
	}
	wantProblem(t, s.do(t, "GET", "/v1/notifications", ""), 401, "no_identity")
	wantProblem(t, s.do(t, "GET", "/v1/notifications", "", as("u")), 403, "forbidden")
}

func TestEveryAnswerHasARequestID(t *testing.T) {
	s := start(t, nil)
	own := regexp.MustCompile(`^[A-Z2-7]{8}-[0-9a-z]+$`)
	seen := map[string]bool{}
	for _, sent := range []string{"", "abc.DEF_9-", strings.Repeat("x", 64), strings.Repeat("x", 65), "a b", `a"b`, "a\xffb"} {
		for _, target := range []string{"/v1/items/a", "/nowhere"} {
			id := s.do(t, "GET", target, "", "X-Request-Id: "+sent).header.Get("X-Request-Id")
			if kept := wellFormedID([]byte(sent)); kept && id != sent || !kept && (!own.MatchString(id) || seen[id]) {
				t.Errorf("sent %q, got %q", sent, id)
			}
			seen[id] = true
		}
	}
}
