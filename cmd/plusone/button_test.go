package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

const browserTests = "../../hotpath/ui/browser"

func TestTheLikeButtonWorksInABrowser(t *testing.T) {
	t.Parallel()
	needBrowser(t)
	const elsewhere = "http://localhost:18099" // nothing listens there: its pages are played
	h := dev(t, filepath.Join(t.TempDir(), "data"), "--auth", "cookie", "--quota", "90/1h", "--cors-origin", elsewhere)
	if n := inBrowser(t, "all.test.js", "PLUSONE_API="+h.api, "PLUSONE_KEY="+h.key, "PLUSONE_ELSEWHERE="+elsewhere, "PLUSONE_TAG="+pinnedTag(t)); n < 10 {
		t.Errorf("%d are not all tests", n)
	}
}

// inBrowser runs the tests in a script and returns how many there are.
func inBrowser(t *testing.T, script string, env ...string) (n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	node := exec.CommandContext(ctx, "node", script)
	node.Dir = browserTests
	node.Cancel = func() error { return node.Process.Signal(os.Interrupt) } // it ends its browser
	node.WaitDelay = 10 * time.Second
	node.Env = append(os.Environ(), env...)
	said, err := node.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	if passed := regexp.MustCompile(`(?m)^# pass (\d+)$`).FindSubmatch(said); passed != nil {
		n, err = strconv.Atoi(string(passed[1]))
		must(t, err)
	}
	return n
}

// pinnedTag is the script tag with a hash that `plusone version --assets` prints.
func pinnedTag(t *testing.T) string {
	t.Helper()
	code, said := inProcess("version", "--assets")
	tag := regexp.MustCompile(`(?s)<script src="/v1/like-button\.\w{16}\.js"\s+integrity="sha384-.*</script>`).FindString(said)
	if code != exitOK || tag == "" {
		t.Fatalf("%d %s", code, said)
	}
	return tag
}

// needBrowser skips a test when what it needs is not on this machine; with CI=true
// that fails it.
func needBrowser(t *testing.T) {
	t.Helper()
	missing := t.Skipf
	if os.Getenv("CI") == "true" {
		missing = t.Fatalf
	}
	if _, err := os.Stat("/usr/bin/chromium"); err != nil {
		missing("Chromium is not installed: scripts/dev/need chromium")
	}
	version, err := exec.CommandContext(t.Context(), "node", "--version").Output()
	if err != nil || !strings.HasPrefix(string(version), "v2") {
		missing("node 20 or later is not installed (%q, %v): scripts/dev/need node", version, err)
	}
	if _, err := os.Stat(filepath.Join(browserTests, "node_modules", "playwright-core")); err != nil {
		missing("the browser's driver is not installed: (cd hotpath/ui/browser && npm ci)")
	}
}
