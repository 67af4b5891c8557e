package ui

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"regexp"
	"strings"
	"testing"
)

// document is what the tests need of openapi.yaml, read by another reader.
type document struct {
	Paths, Webhooks map[string]map[string]json.RawMessage
	Components      struct{ Schemas map[string]json.RawMessage }
}

func read(t *testing.T) (d document, operations map[string]string) {
	t.Helper()
	if err := json.Unmarshal(OpenAPI().Body, &d); err != nil {
		t.Fatal(err)
	}
	operations = map[string]string{}
	for _, paths := range []map[string]map[string]json.RawMessage{d.Paths, d.Webhooks} {
		for path, methods := range paths {
			for method, raw := range methods {
				var op struct{ OperationID string }
				if method != "parameters" {
					if err := json.Unmarshal(raw, &op); err != nil {
						t.Fatal(err)
					}
					operations[op.OperationID] = path
				}
			}
		}
	}
	return d, operations
}

func TestThePageHasEveryOperationAndEveryShape(t *testing.T) {
	page := string(Docs().Body)
	d, operations := read(t)
	for id, path := range operations {
		if !strings.Contains(page, `<article id="`+id+`">`) || !strings.Contains(page, "<code>"+html.EscapeString(path)+"</code>") {
			t.Errorf("%s %s is not on the page", id, path)
		}
	}
	for name := range d.Components.Schemas {
		if !strings.Contains(page, `<article id="`+name+`">`) {
			t.Errorf("%s is not on the page", name)
		}
	}
	if len(operations) < 15 || len(d.Components.Schemas) < 20 {
		t.Errorf("%d operations, %d schemas", len(operations), len(d.Components.Schemas))
	}
}

func TestThePagesLinksLeadSomewhere(t *testing.T) {
	page := string(Docs().Body)
	seen := map[string]int{}
	for _, id := range regexp.MustCompile(` id="([^"]+)"`).FindAllStringSubmatch(page, -1) {
		if seen[id[1]]++; seen[id[1]] > 1 {
			t.Errorf("%s is there twice", id[1])
		}
	}
	links := regexp.MustCompile(`href="([^"]+)"`).FindAllStringSubmatch(page, -1)
	for _, link := range links {
		if id, ok := strings.CutPrefix(link[1], "#"); ok && seen[id] == 0 {
			t.Errorf("%s leads nowhere", link[1])
		}
	}
	if len(links) < 100 {
		t.Errorf("%d links", len(links))
	}
}

func TestThePageLoadsNothing(t *testing.T) {
	page := string(Docs().Body)
	for _, loads := range []string{"<script", "<link", "<img", "<iframe", " src=", "@import", "url(", " style=", " onclick", "<base"} {
		if strings.Contains(page, loads) {
			t.Errorf("%s", loads)
		}
	}
	_, style, _ := strings.Cut(page, "<style>")
	style, _, _ = strings.Cut(style, "</style>")
	hash := sha256.Sum256([]byte(style))
	want := `content="default-src &#39;none&#39;; style-src &#39;sha256-` + html.EscapeString(base64.StdEncoding.EncodeToString(hash[:])) + `&#39;;`
	if !strings.Contains(strings.ReplaceAll(page, "&#43;", "+"), want) {
		t.Errorf("the browser is not told %s", want)
	}
}

func TestThePageShowsWhatToSend(t *testing.T) {
	page := html.UnescapeString(string(Docs().Body))
	for _, want := range []string{
		`curl -X PUT -H 'X-User-ID: alice' 'http://127.0.0.1:8080/v1/items/post-1/like'`,
		`curl 'http://127.0.0.1:8080/v1/items?id=post-1&id=post-2'`,
		`curl 'http://127.0.0.1:8080/v1/receipts/0-1795246582056-0'`,
		`curl -H "Authorization: Bearer $(cat .plusone/server-key)" --json '{"ref": "pay-1","weight": 5}' 'http://127.0.0.1:8080/v1/items/post-1/votes'`,
		`curl -X DELETE -H "Authorization: Bearer $(cat .plusone/server-key)" 'http://127.0.0.1:8080/v1/items/post-1/votes/pay-1'`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("%s is not on the page", want)
		}
	}
}

func TestADescriptionIsTextAndNoMarkup(t *testing.T) {
	const text = "a <b> & `c<d>`\n\nsee <https://example.org/?a=1> and <javascript:x>"
	const want = `a &lt;b&gt; &amp; <code>c&lt;d&gt;</code></p><p>see <a href="https://example.org/?a=1">https://example.org/?a=1</a> and &lt;javascript:x&gt;`
	if got := string(prose(text)); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

func TestATreeIsReadInItsOwnOrder(t *testing.T) {
	tree, err := readTree([]byte(`{"z": 1, "a": {"$ref": "#/b/c"}, "b": {"c": {"x": [true, null, "é\"", {"k": 2.5}]}}}`))
	if err != nil {
		t.Fatal(err)
	}
	names := ""
	for name := range tree.members() {
		names += name
	}
	if got := fmt.Sprint(names, tree.at("a", "x").exists(), tree.at("a").reference(), tree.at("a", "none", "at all").exists()); got != "zabtruecfalse" {
		t.Errorf("%s", got)
	}
	if got, want := tree.at("a", "x").json(), "[true, null, \"é\\\"\", {\n  \"k\": 2.5\n}]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
