package api

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

const (
	publicCache  = "public, max-age=1, stale-while-revalidate=10"
	privateCache = "private, no-store"
)

func ifNone(tag string) string { return "If-None-Match: " + tag }

// wantShared checks an answer that caches may keep, and returns its tag.
func wantShared(t testing.TB, a *answer) string {
	t.Helper()
	tag := a.header.Get("ETag")
	if a.header.Get("Cache-Control") != publicCache || !strings.HasPrefix(tag, `W/"`) || !strings.Contains(a.header.Get("Vary"), "Authorization") {
		t.Fatalf("%d %v", a.status, a.header)
	}
	return tag
}

func TestEverybodyIsToldACountThatCachesMayKeep(t *testing.T) {
	s := start(t, nil)
	s.do(t, "PUT", "/v1/items/a/like", "", as("u"))
	for _, target := range []string{"/v1/items/a", "/v1/items?id=a&id=b", "/v1/items/a/likers"} {
		a := s.do(t, "GET", target, "")
		tag := wantShared(t, a)
		again := s.do(t, "GET", target, "", ifNone(tag))
		if again.status != 304 || len(again.body) != 0 || wantShared(t, again) != tag || again.header.Get("Content-Type") != "" {
			t.Errorf("%s: %d %v %s", target, again.status, again.header, again.body)
		}
		if head := s.do(t, "HEAD", target, ""); wantShared(t, head) != tag {
			t.Errorf("%s: HEAD: %v", target, head.header)
		}
		s.do(t, "PUT", "/v1/items/a/like", "", as("v"))
		if a := s.do(t, "GET", target, "", ifNone(tag)); a.status != 200 || wantShared(t, a) == tag {
			t.Errorf("%s after a change: %d %v", target, a.status, a.header)
		}
		s.do(t, "DELETE", "/v1/items/a/like", "", as("v"))
		if a := s.do(t, "GET", target, ""); wantShared(t, a) != tag {
			t.Errorf("%s: what is as it was has another tag: %v", target, a.header)
		}
	}
}

func TestCountsThatStandElsewhereHaveAnotherTag(t *testing.T) {
	s := start(t, nil)
	tags := map[string]bool{}
	for range 3 { // of a, b and c: 1 0 0, 1 1 0, 1 1 1
		for _, ids := range []string{"id=a&id=b", "id=b&id=c", "id=a"} {
			tags[ids+wantShared(t, s.do(t, "GET", "/v1/items?"+ids, ""))] = true
		}
		s.do(t, "PUT", fmt.Sprintf("/v1/items/%c/like", 'a'+len(s.likedItems())), "", as("u"))
	}
	if len(tags) != 3+2+2 {
		t.Errorf("%v", tags)
	}
}

func TestWhatIsSomebodysOwnIsKeptByNobody(t *testing.T) {
	s := start(t, nil)
	put := s.do(t, "PUT", "/v1/items/a/like", "", as("u"))
	receipt := put.json(t)["receipt"].(string)
	for what, a := range map[string]*answer{
		"a like":            put,
		"an unlike":         s.do(t, "DELETE", "/v1/items/b/like", "", as("u")),
		"a toggle":          s.do(t, "POST", "/v1/items/b/like/toggle", "", as("u")),
		"whether one likes": s.do(t, "GET", "/v1/items/a", "", as("u"), ifNone("*")),
		"of many items":     s.do(t, "GET", "/v1/items?id=a", "", as("u"), ifNone(`W/"1"`)),
		"own likes":         s.do(t, "GET", "/v1/users/u/likes", "", as("u")),
		"a receipt":         s.do(t, "GET", "/v1/receipts/"+receipt, ""),
		"notifications":     s.do(t, "GET", "/v1/notifications", "", asServer()),
		"likes of a server": s.do(t, "POST", "/v1/likes", opsBody(1), asServer()),
		"a vote":            s.do(t, "POST", "/v1/items/a/votes", `{"ref":"r","weight":1}`, asServer()),
		"its state":         s.do(t, "GET", "/v1/items/a/votes/r", "", asServer()),
		"an error":          s.do(t, "GET", "/v1/items?id=", ""),
		"nothing":           s.do(t, "GET", "/nowhere", ""),
	} {
		if a.status == 304 || a.header.Get("Cache-Control") != privateCache || a.header.Get("ETag") != "" {
			t.Errorf("%s: %d %v", what, a.status, a.header)
		}
	}
}

func TestAnErrorIsToldAlsoToWhoHasSomething(t *testing.T) {
	s := start(t, nil)
	s.store.fail = fmt.Errorf("away")
	wantProblem(t, s.do(t, "GET", "/v1/items/a", "", ifNone("*")), 500, "internal")
}

func TestAnAnswerThatBringsACookieIsTheVisitorsOwn(t *testing.T) {
	s, v := startVisited(t)
	s.do(t, "PUT", visitedLike, "", byHTTPS, ourPage, secured(v.mint(time.Now().Add(-time.Minute))))
	for _, target := range []string{"/v1/items/a", "/v1/items?id=a", "/v1/items/a/likers"} {
		a := s.do(t, "GET", target, "", ifNone("*"))
		if cookieOf(t, a); a.status != 200 || a.header.Get("Cache-Control") != privateCache || a.header.Get("ETag") != "" {
			t.Errorf("%s: %d %v", target, a.status, a.header)
		}
	}
	old := secured(v.mint(time.Now().Add(-time.Minute)))
	if a := s.do(t, "GET", "/v1/items/a", "", byHTTPS, old); a.header.Get("Cache-Control") != privateCache {
		t.Errorf("%v", a.header)
	}
	a := s.do(t, "GET", "/v1/items/a/likers", "", byHTTPS, old)
	if wantShared(t, a); a.header.Get("Vary") != "Authorization, X-User-ID, Cookie" {
		t.Errorf("%v", a.header)
	}
}

func TestIfNoneMatchIsReadAsItIsWritten(t *testing.T) {
	for list, want := range map[string]bool{
		`W/"7"`: true, `"7"`: true, `"1", W/"7"`: true, `W/"1",W/"2" ,"7"`: true, "*": true, ` , "7"`: true,
		"": false, `W/"71"`: false, `"1"`: false, "7": false, `W/7`: false, `"7`: false, `W/`: false, `w/"7"`: false, `"1" 7`: false,
		`"a,W/"7"`: false, `"`: false, "\xff": false,
	} {
		if got := matches([]byte(list), []byte(`W/"7"`)); got != want {
			t.Errorf("%s: %v", list, got)
		}
	}
}

func FuzzIfNoneMatch(f *testing.F) {
	f.Add(`W/"1", "7"`, `7`)
	f.Fuzz(func(t *testing.T, list, tag string) {
		if strings.ContainsAny(tag, `"*`) || strings.Contains(list, "*") {
			return
		}
		if matches([]byte(list), []byte(`W/"`+tag+`"`)) && !strings.Contains(list, `"`+tag+`"`) {
			t.Errorf("%q holds no %q", list, tag)
		}
	})
}

func TestA304IsCounted(t *testing.T) {
	s := start(t, nil)
	s.do(t, "GET", "/v1/items/a", "", ifNone("*"))
	if place(statuses, fasthttp.StatusNotModified) == 0 || place(statuses, fasthttp.StatusNoContent) == 0 {
		t.Error("304 or 204 has no place of its own")
	}
}
