package main

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"plusone/scripts/dev/private/privatetest"
)

// write makes a file of lines.
func writeLines(t *testing.T, name string, lines ...string) string {
	t.Helper()
	must(t, os.WriteFile(name, []byte(strings.Join(lines, "\n")+"\n"), 0o600))
	return name
}

func TestLikesAreBroughtInAndTakenOutWhileEverythingRuns(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := dev(t, filepath.Join(dir, "data"))
	redis, pg := "--redis-url="+h.redis, "--postgres-url="+h.pg
	h.ask(t, "PUT", likeOf("page1"), "ann")
	h.ask(t, "PUT", likeOf("page1"), "bob")
	h.ask(t, "DELETE", likeOf("page1"), "bob")
	h.drained(t)

	lines := []string{"post_id;member"}
	for i := range 50 {
		lines = append(lines, fmt.Sprintf("page1;u%d", i), fmt.Sprintf("page2;u%d", i))
	}
	csv := writeLines(t, filepath.Join(dir, "old.csv"), strings.ReplaceAll(strings.Join(append(lines, "page1;bob", "page1;no id"), "\n"), ";", ","))
	if said := h.runs(t, exitUsage, "import", redis, pg, csv); !strings.Contains(said, `no column "item" among ["post_id" "member"]`) {
		t.Errorf("without its columns: %s", said)
	}
	l := imported(t, h.runs(t, exitOK, "import", redis, pg, csv, "--columns=item=post_id,user=member", "--dry-run", "--json", "--rejects="+filepath.Join(dir, "dry")))
	if l.Brought < 100 || l.Rejected != 1 || !l.DryRun {
		t.Errorf("dry run: %+v", l)
	}
	h.agree(t, "page1", 1)
	for _, want := range []importLine{{Records: 102, Brought: 100, Kept: 1, Rejected: 1}, {Records: 102, Kept: 101, Rejected: 1}} {
		l = imported(t, h.runs(t, exitOK, "import", redis, pg, csv, "--columns=item=post_id,user=member"))
		if want.Done, want.Rate, want.Percent = true, l.Rate, 100; l != want {
			t.Errorf("%+v, want %+v", l, want)
		}
	}
	kept, err := os.ReadFile(csv + ".rejects")
	must(t, err)
	if !strings.HasPrefix(string(kept), `{"line":103,"reason":"malformed id`) || strings.Count(string(kept), "\n") != 1 {
		t.Errorf("rejects: %s", kept)
	}
	h.drained(t)
	h.agree(t, "page1", 51)
	h.count(t, "page2", 50)
	if found := h.reconcile(t); len(found) > 0 {
		t.Errorf("drift: %+v", found)
	}

	file := filepath.Join(dir, "likes.ndjson.gz")
	if said := h.runs(t, exitOK, "export", redis, pg, file, "--wait=20s"); !strings.Contains(said, "101 exported") {
		t.Errorf("export: %s", said)
	}
	h.runs(t, exitUsage, "export", pg, file)
	others := []string{"--redis-url=" + privatetest.Redis(t).URL(), "--postgres-url=" + privatetest.Postgres(t)}
	h.runs(t, exitOK, "migrate", others[1])
	if l = imported(t, h.runs(t, exitOK, "import", others[0], others[1], file)); l.Brought != 101 {
		t.Errorf("into another plusone: %+v", l)
	}
	again := filepath.Join(dir, "again.ndjson")
	h.runs(t, exitOK, "export", others[1], again)
	// Likes of this minute are a little older there: they lose against all that is to come.
	times := regexp.MustCompile(`"liked_at":"[^"]*"`)
	if want, got := times.ReplaceAllString(unpacked(t, file), ""), times.ReplaceAllString(unpacked(t, again), ""); want != got {
		t.Errorf("an export of the import differs:\n%.200s\n%.200s", want, got)
	}
}

// imported is the last line of JSON that an import has said.
func imported(t *testing.T, said string) (l importLine) {
	t.Helper()
	lastLine(t, said[:strings.LastIndex(said, "}")+1], &l)
	return l
}

// count reads the count of an item that nobody has asked for before.
func (h *house) count(t *testing.T, item string, n int) {
	t.Helper()
	if code, body := request(t, "GET", h.api+"/v1/items/"+item); code != http.StatusOK || !strings.Contains(body, fmt.Sprintf(`"count":%d,`, n)) {
		t.Errorf("%s: %d %s, want %d", item, code, body, n)
	}
}

func unpacked(t *testing.T, name string) string {
	t.Helper()
	f, err := os.Open(name)
	must(t, err)
	defer func() { _ = f.Close() }()
	r := io.Reader(f)
	if strings.HasSuffix(name, ".gz") {
		r, err = gzip.NewReader(f)
		must(t, err)
	}
	text, err := io.ReadAll(r)
	must(t, err)
	return string(text)
}

func TestAnotherPostgresIsAskedForLikes(t *testing.T) {
	t.Parallel()
	h := dev(t, filepath.Join(t.TempDir(), "data"))
	_, err := h.pool.Exec(t.Context(), `
		CREATE TABLE votes_of_old (id bigserial, votable_type text, votable_id bigint, voter_id bigint, vote_flag boolean, created_at timestamptz);
		INSERT INTO votes_of_old (votable_type, votable_id, voter_id, vote_flag, created_at)
		SELECT 'Post', n % 3, n, n % 10 > 0, '2024-05-06 07:08:09+00' FROM generate_series(1, 30) AS n`)
	must(t, err)
	args := []string{
		"import", "--redis-url=" + h.redis, "--postgres-url=" + h.pg, "--from-postgres=" + h.pg, "--key=id",
		"--query=select id, votable_type || '-' || votable_id as item, voter_id as user, vote_flag as liked, created_at as liked_at from votes_of_old;",
		"--rejects=" + filepath.Join(t.TempDir(), "rejects"),
	}
	if l := imported(t, h.runs(t, exitOK, args...)); l.Records != 30 || l.Brought != 30 || l.Rejected > 0 {
		t.Errorf("%+v", l)
	}
	h.count(t, "Post-1", 9) // one of its ten said no
	if code, body := request(t, "GET", h.api+"/v1/items/Post-1/likers"); code != http.StatusOK || !strings.Contains(body, "2024-05-06T07:08:09") {
		t.Errorf("likers: %d %s", code, body)
	}
}

func TestTokensAreTakenByTheAPI(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	made := start(t, "token", "key", "shop")
	if made.end(t, 0) != exitOK {
		t.Fatal(made.said())
	}
	key, keys := made.find(t, `key: +(\S+)`), made.find(t, `PLUSONE_SERVER_KEYS=(\S+)`)
	secret := writeLines(t, filepath.Join(dir, "secret"), strings.Repeat("s", 40))
	h := dev(t, filepath.Join(dir, "data"), "--auth=jwt", "--jwt-secret-file="+secret, "--server-keys="+keys)
	token := strings.TrimSpace(h.runs(t, exitOK, "token", "jwt", "alice", "--jwt-secret-file="+secret))
	for _, bearer := range []string{key, token} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, h.api+likeOf("page"), http.NoBody)
		must(t, err)
		req.Header.Set("Authorization", "Bearer "+bearer)
		if bearer == key {
			req.Header.Set("X-User-ID", "bob")
		}
		res, err := h.client.Do(req)
		must(t, err)
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Errorf("with %.8s…: %s", bearer, res.Status)
		}
	}
	h.runs(t, exitUsage, "token", "key", "a shop")
	h.runs(t, exitUsage, "token", "jwt", "alice", "--jwt-secret-file="+filepath.Join(dir, "none"))
}
