package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"plusone/scripts/dev/private/privatetest"
)

// asPlusone makes this test binary plusone itself.
const asPlusone = "PLUSONE_TEST_AS_PLUSONE"

func TestMain(m *testing.M) {
	if os.Getenv(asPlusone) != "" {
		main()
	}
	_ = os.Setenv("TERM", "xterm") // of the terminals of tests, wherever they run
	privatetest.Main(m, privatetest.NoLeaks)
}

// running is a plusone that a test has started. What it prints, on both
// outputs, is kept.
type running struct {
	cmd *exec.Cmd
	mu  sync.Mutex
	buf bytes.Buffer
}

func (r *running) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.buf.Write(b)
}

func (r *running) said() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.buf.String()
}

// start starts plusone with the environment's own PLUSONE_ variables taken out.
func start(t *testing.T, args ...string) *running {
	t.Helper()
	return startIn(t, nil, args...)
}

// startIn is start with more variables.
func startIn(t *testing.T, env []string, args ...string) *running {
	t.Helper()
	r := &running{cmd: exec.Command(os.Args[0], args...)}
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "PLUSONE_") {
			r.cmd.Env = append(r.cmd.Env, kv)
		}
	}
	r.cmd.Env = append(append(r.cmd.Env, asPlusone+"=1"), env...)
	r.cmd.Stdout, r.cmd.Stderr = r, r
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // so that a test can end the whole group
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if r.cmd.ProcessState == nil {
			r.end(t, syscall.SIGKILL)
		}
		if t.Failed() {
			t.Logf("plusone %s said:\n%s", strings.Join(args, " "), r.said())
		}
	})
	return r
}

// end sends sig (0: waits only) and returns the exit code, -1 after a kill.
func (r *running) end(t *testing.T, sig syscall.Signal) int {
	t.Helper()
	if sig != 0 {
		if err := r.cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
	}
	timeout := time.AfterFunc(2*time.Minute, func() { _ = r.cmd.Process.Kill() })
	defer timeout.Stop()
	err := r.cmd.Wait()
	if failed := new(exec.ExitError); err != nil && !errors.As(err, &failed) {
		t.Fatal(err)
	}
	return r.cmd.ProcessState.ExitCode()
}

// find waits until the output matches and returns the first group.
func (r *running) find(t *testing.T, pattern string) string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	var found []string
	eventually(t, "plusone says "+pattern, func() bool {
		found = re.FindStringSubmatch(r.said())
		return found != nil
	})
	return found[1]
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	until := time.Now().Add(2 * time.Minute) // only what hangs is to end here
	for !ok() {
		if time.Now().After(until) {
			t.Fatalf("not in time: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// request is one HTTP call without keep-alive, as alice.
func request(t *testing.T, method, url string) (code int, body string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-User-ID", "alice")
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// wantLike likes item as alice and expects an answer that holds want.
func wantLike(t *testing.T, url, item, want string) {
	t.Helper()
	if code, body := request(t, "PUT", url+"/v1/items/"+item+"/like"); code != 200 || !strings.Contains(body, want) {
		t.Errorf("PUT %s: %d %s, want %s", item, code, body, want)
	}
}

func TestWrongUsageExitsWithTwo(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{},
		{"nonsense"},
		{"serve", "--shards=3"},
		{"serve", "--config=/does/not/exist"},
		{"reconcile", "--dry-run"},
		{"serve"},
		{"api"},
		{"worker"},
		{"reconcile"},
		{"reconcile", "--once"},
		{"migrate"},
		{"migrate", "status"},
	} {
		p := start(t, args...)
		if code := p.end(t, 0); code != exitUsage {
			t.Errorf("plusone %v exits with %d: %s", args, code, p.said())
		}
	}
}

func TestMissingSettingsAreNamedAndNothingIsStartedInstead(t *testing.T) {
	t.Parallel()
	for command, want := range map[string]string{
		"serve":   "missing --redis-url (PLUSONE_REDIS_URL) and --postgres-url (PLUSONE_POSTGRES_URL)",
		"migrate": "missing --postgres-url (PLUSONE_POSTGRES_URL)",
	} {
		p := start(t, command)
		if p.end(t, 0); !strings.Contains(p.said(), want) {
			t.Errorf("plusone %s says %s", command, p.said())
		}
	}
}

func TestHelpTellsTheExitCodesAndTheVariables(t *testing.T) {
	t.Parallel()
	p := start(t, "--help")
	if code := p.end(t, 0); code != exitOK || !strings.Contains(p.said(), "Exit codes: 0") {
		t.Errorf("%d %s", code, p.said())
	}
	p = start(t, "serve", "--help")
	if code := p.end(t, 0); code != exitOK || !strings.Contains(strings.Join(strings.Fields(p.said()), " "), "$PLUSONE_INTERNAL_LISTEN") {
		t.Errorf("%d %s", code, p.said())
	}
	if code, said := inProcess("version"); code != exitOK || !strings.HasPrefix(said, "plusone ") || !strings.Contains(said, runtime.Version()) {
		t.Errorf("%d %s", code, said)
	}
	var b build
	if code, said := inProcess("version", "--json"); code != exitOK || json.Unmarshal([]byte(said), &b) != nil || b != thisBuild() {
		t.Errorf("%d %s", code, said)
	}
}
