package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"
)

const clientDir = "../../hotpath/ui/client"

// TestTheTypeScriptClientDrivesTheServer also fails when the client's types are not made
// of openapi.yaml as it is.
func TestTheTypeScriptClientDrivesTheServer(t *testing.T) {
	t.Parallel()
	needNode(t, clientDir)
	h := dev(t, filepath.Join(t.TempDir(), "data"))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	npm := exec.CommandContext(ctx, "npm", "test")
	npm.Dir = clientDir
	npm.Cancel = func() error { return npm.Process.Signal(os.Interrupt) }
	npm.WaitDelay = 10 * time.Second
	npm.Env = append(os.Environ(), "PLUSONE_API="+h.api, "PLUSONE_KEY="+h.key)
	said, err := npm.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	if !regexp.MustCompile(`(?m)^# skipped 0$`).Match(said) {
		t.Errorf("these are not all tests:\n%s", said)
	}
}

// needNode skips a test when Node, or what dir's lock file names, is not on this machine;
// with CI=true that fails it.
func needNode(t *testing.T, dir string) {
	t.Helper()
	missing := t.Skipf
	if os.Getenv("CI") == "true" {
		missing = t.Fatalf
	}
	version, err := exec.CommandContext(t.Context(), "node", "--version").Output()
	if err != nil || !regexp.MustCompile(`^v(2\d|[3-9]\d)\.`).Match(version) {
		missing("node 20 or later is not installed (%q, %v): scripts/dev/need node", version, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules", ".package-lock.json")); err != nil {
		missing("what %s needs is not installed: (cd %[1]s && npm ci)", dir)
	}
}
