package console

import (
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// hostile are ids that a page must not take for its own text.
const hostile = `a&b='c'#d?e=1/../;javascript:alert(1)`

func TestEveryPageSaysWhatIsThereAndWhatWillBe(t *testing.T) {
	h := newHouse(t, secret)
	p := h.login()
	for path, want := range map[string]string{
		"/console/": "This process can do all its work", "/console/hot": "Nothing has changed within 15 minutes",
		"/console/frozen": "No item is frozen", "/console/repairs": "The reconciler has found nothing",
		"/console/letters": "There is no dead letter", "/console/sagas?state=stuck": "No saga is stuck",
		"/console/revocations": "will stand here", "/console/notifications": "Nothing was told yet",
		"/console/item?id=nobody": "Nobody likes it, as far as is known",
	} {
		if a := p.get(path); a.code != 200 || !strings.Contains(a.body, want) {
			t.Errorf("%s: %d, lacks %q", path, a.code, want)
		}
	}
	for path, code := range map[string]int{
		"/console/nothing": 404, "/console/saga?id=x": 404, "/console/letter?id=7": 404, "/console/letter?id=x": 404, "/console/revocation?id=x": 404,
		"/console/notification?id=1": 404, "/console/item": 400, "/console/item?id=a%20b": 400, "/console/assets/x/console.css": 404,
	} {
		if a := p.get(path); a.code != code {
			t.Errorf("%s: %d, want %d", path, a.code, code)
		}
	}
}

func TestWhatIsNoTextIsRefusedAndBlamesNoStore(t *testing.T) {
	h := newHouse(t, secret)
	p := h.login()
	for _, path := range []string{
		"/console/item?id=a&after=%00", "/console/repairs?item=%00", "/console/sagas?user=%ff", "/console/saga?id=%00",
		"/console/letters?state=%c3%28", "/console/revocations?before=%00", "/console/hot?%zz=1", "/console/login?next=%00",
	} {
		if a := p.get(path); a.code != 400 || !strings.Contains(a.body, "read") || strings.Contains(a.body, "does not answer") {
			t.Errorf("%s: %d %s", path, a.code, a.body)
		}
	}
	if a := p.act("saga/retry", "sag_\x00", "why"); a.code != 400 {
		t.Errorf("an act on it: %d %s", a.code, a.body)
	}
	users := strings.Repeat(strings.Repeat("é", 64)+"\n", 10_000)
	if a := p.send("POST", "/console/revoke", url.Values{"csrf": {p.csrf}, "users": {users}}); a.code != 200 || !strings.Contains(a.body, "0 likes") {
		t.Errorf("as many users as a form may name: %d", a.code)
	}
	if a := p.send("POST", "/console/revoke", url.Values{"csrf": {p.csrf}, "users": {users + users}}); a.code != 400 {
		t.Errorf("twice as many: %d", a.code)
	}
	p.cookie = nil
	if a := p.send("POST", "/console/login", url.Values{"token": {strings.Repeat("x", maxStrange)}}); a.code != 400 {
		t.Errorf("a stranger with much to say: %d", a.code)
	}
}

func TestIdsOfOthersAreTextOnEveryPage(t *testing.T) {
	h := newHouse(t, secret)
	h.like(hostile, "o'neil&co", "b")
	h.exec(`INSERT INTO dead_letters (shard, version, item_id, user_id, liked, undone, error)
	        VALUES (0, 1, '<script>x()</script>', '"><img src=x onerror=x()>', true, true, '<b>no</b>')`)
	h.exec(`INSERT INTO repairs (run, shard, item_id, user_id, side, before, after, cause, repaired)
	        VALUES ('r', 0, $1, '<i>u</i>', 'counter', '<b>1</b>', '2', '<script>', false)`, hostile)
	p := h.login()
	if a := p.act("item/freeze", hostile, `"><script>x()</script>`); a.code != 303 {
		t.Fatalf("%d %s", a.code, a.body)
	}
	inItem := "/console/item?id=" + url.QueryEscape(hostile)
	for _, path := range []string{"/console/", "/console/hot", inItem, "/console/frozen", "/console/repairs", "/console/letters", "/console/letter?id=1"} {
		a := p.get(path)
		for _, bad := range []string{"<script>", "<b>", "<i>", "<img src=x", "href=\"javascript"} {
			if strings.Contains(a.body, bad) {
				t.Errorf("%s holds %s", path, bad)
			}
		}
	}
	link := regexp.MustCompile(`href="(/console/item\?id=[^"]+)">a&amp;b`).FindStringSubmatch(p.get("/console/hot").body)
	if link == nil || !strings.Contains(p.get(strings.ReplaceAll(link[1], "&amp;", "&")).body, "o&#39;neil&amp;co") {
		t.Errorf("the link of an item does not lead to it: %q", link)
	}
}

func TestPagesLoadNothingFromElsewhereAndRunNothingOfTheirOwn(t *testing.T) {
	p := newHouse(t, secret).login()
	elsewhere := regexp.MustCompile(`(?:src|href|action)="(?:https?:)?//|<style|style="| on[a-z]+="|<script(?: defer)?>`)
	for path := range pages {
		a := p.get(strings.TrimSuffix(path, "{$}"))
		if found := elsewhere.FindString(a.body); found != "" {
			t.Errorf("%s: %s", path, found)
		}
		csp := a.header.Get("Content-Security-Policy")
		if !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", path, a.header)
		}
	}
	for _, name := range []string{"console.css", "console.js", "icon.svg", "uplot/uPlot.iife.min.js", "uplot/uPlot.min.css"} {
		a := (&person{house: p.house}).get(Asset(name))
		if a.code != 200 || !strings.Contains(a.header.Get("Cache-Control"), "immutable") || len(a.body) > 60<<10 {
			t.Errorf("%s: %d, %d bytes, %v", name, a.code, len(a.body), a.header)
		}
	}
}

func TestTheVendoredPlotterIsWhatItsFilesSay(t *testing.T) {
	read := func(name string) string {
		text, err := files.ReadFile("assets/uplot/" + name)
		must(t, err)
		return string(text)
	}
	version := regexp.MustCompile(`^uPlot (\S+),`).FindStringSubmatch(read("VERSION"))
	if version == nil || !strings.HasPrefix(read("uPlot.iife.min.js"), "/*! https://github.com/leeoniya/uPlot (v"+version[1]+") */") {
		t.Errorf("VERSION says %q", version)
	}
	if !strings.Contains(read("LICENSE"), "MIT") {
		t.Error("its license is not beside it")
	}
}

func TestListsGoOnWhereTheirPageEnds(t *testing.T) {
	h := newHouse(t, secret)
	h.like("post", names("u", 120)...)
	p := h.login()
	seen, path := 0, "/console/item?id=post"
	for path != "" {
		body := p.get(path).body
		seen += strings.Count(body, `<td class="id">u`)
		path = ""
		if next := regexp.MustCompile(`rel="next" href="([^"]+)"`).FindStringSubmatch(body); next != nil {
			path = strings.ReplaceAll(next[1], "&amp;", "&")
		}
	}
	if seen != 120 {
		t.Errorf("%d of 120 likers are shown", seen)
	}
}

func TestEveryListGoesOnBehindItsLastRow(t *testing.T) {
	h := newHouse(t, secret)
	const rows = 2*rowsPage + 20
	h.exec(`INSERT INTO dead_letters (shard, version, item_id, user_id, liked, undone, error)
	        SELECT 0, n, 'post', 'u' || n, true, true, 'it said no' FROM generate_series(1, $1::int) n`, rows)
	h.exec(`INSERT INTO repairs (run, shard, item_id, user_id, side, before, after, cause, repaired)
	        SELECT 'r', 0, 'post', 'u' || n, 'counter', '1', '2', 'a test', true FROM generate_series(1, $1::int) n`, rows)
	h.exec(`INSERT INTO sagas (id, shard, version, item_id, user_id, liked, participants)
	        SELECT 'sag_' || n, 0, n, 'post', 'u' || n, true, '{points}' FROM generate_series(1, $1::int) n`, rows)
	p := h.login()
	for _, i := range names("cold", rows) {
		if a := p.act("item/freeze", i, "a test"); a.code != 303 {
			t.Fatalf("%d %s", a.code, a.body)
		}
	}
	for path, link := range map[string]string{
		"/console/letters?item=post&done=letter/drop": "/console/letter?id=", "/console/sagas?item=post": "/console/saga?id=",
		"/console/frozen": "/console/item?id=", "/console/repairs?item=post": `<td class="id">u`,
	} {
		seen, at := 0, path
		for range 4 {
			body := p.get(at).body
			seen += strings.Count(body, link)
			next := regexp.MustCompile(`rel="next" href="([^"]+)"`).FindStringSubmatch(body)
			if next == nil {
				break
			}
			at = strings.ReplaceAll(next[1], "&amp;", "&")
			if strings.Contains(path, "item=") != strings.Contains(at, "item=") || strings.Contains(at, "done=") {
				t.Errorf("%s goes on with %s", path, at)
			}
		}
		if seen != rows {
			t.Errorf("%s shows %d of %d", path, seen, rows)
		}
	}
}

func TestAStoreThatIsAwayTakesItsPartAlone(t *testing.T) {
	h := newHouse(t, secret)
	h.like("post", "u")
	p := h.login()
	h.server.Kill()
	if a := p.get("/console/item?id=post"); a.code != 200 || !strings.Contains(a.body, "Redis does not answer") || !strings.Contains(a.body, "What moved it lately") {
		t.Errorf("without Redis: %d %s", a.code, a.body)
	}
	h.pool.Close()
	if a := p.get("/console/item?id=post"); a.code != 200 || !strings.Contains(a.body, "Postgres does not answer") {
		t.Errorf("without both: %d %s", a.code, a.body)
	}
	if a := p.get("/console/"); a.code != 200 || !strings.Contains(a.body, "Postgres does not answer") {
		t.Errorf("the overview: %d", a.code)
	}
	if a := p.get("/console/letters"); a.code != 503 || !strings.Contains(a.body, "does not answer") {
		t.Errorf("a list: %d %s", a.code, a.body)
	}
}
