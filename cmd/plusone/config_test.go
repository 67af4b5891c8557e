package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestConfigPrintShowsWhatServeWouldRunWith(t *testing.T) {
	t.Parallel()
	p := startIn(t, []string{"PLUSONE_POSTGRES_URL=postgres://u:hunter2@h/d"}, "config", "print", "--listen=127.0.0.1:1")
	if code := p.end(t, 0); code != exitOK || strings.Contains(p.said(), "hunter2") {
		t.Fatalf("%d %s", code, p.said())
	}
	for _, want := range []string{"listen 127.0.0.1:1 --listen", "postgres-url postgres://u:***@h/d PLUSONE_POSTGRES_URL", "max-conns 16384 default"} {
		if !strings.Contains(strings.Join(strings.Fields(p.said()), " "), want) {
			t.Errorf("%q is not in %s", want, p.said())
		}
	}
	p = start(t, "config", "print", "--json")
	var list []struct{ Name, Value, Source string }
	if code := p.end(t, 0); code != exitOK || json.Unmarshal([]byte(p.said()), &list) != nil || len(list) < 50 {
		t.Errorf("%d %s", code, p.said())
	}
}

// inProcess runs a command that starts nothing.
func inProcess(args ...string) (code int, said string) {
	var out bytes.Buffer
	code = run(args, &out, &out)
	return code, out.String()
}

func TestConfigCheckFindsWhatServeWouldRefuseAndAsksNobody(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return "--config=" + path
	}
	const urls = "redis-url: redis://192.0.2.1\npostgres-url: postgres://192.0.2.1/d\n" // addresses that nobody has
	good := file("good.yaml", urls)
	if code, said := inProcess("config", "check", good); code != exitOK || !strings.Contains(said, "good: ") {
		t.Errorf("%d %s", code, said)
	}
	for _, c := range []struct {
		want string
		args []string
	}{
		{"missing --redis-url", nil},
		{"redis-ulr (redis-url?)", []string{file("key.yaml", urls+"redis-ulr: x\n")}},
		{"--redis-url is not of the form", []string{good, "--redis-url=nonsense"}},
		{"--postgres-url is not of the form", []string{good, "--postgres-url=postgres://h:x/y"}},
		{"--listen", []string{good, "--listen=nonsense"}},
		{"--listen", []string{good, "--listen=127.0.0.1:99999"}},
		{"--internal-listen", []string{good, "--internal-listen=0.0.0.0:1"}},
		{"server key", []string{good, "--server-keys=app=plain"}},
		{"jwt", []string{good, "--auth=jwt", "--jwt-secret-file=/does/not/exist"}},
		{"whsec_", []string{good, "--webhook-url=https://a.example"}},
		{"participant", []string{good, "--participant=a=https://a.example"}},
		{"rate of a user", []string{good, "--user-rate=-1"}},
		{"--worker-concurrency", []string{good, "--worker-concurrency=1"}},
		{"quota-refund-unlikes", []string{good, "--quota-refund-unlikes"}},
	} {
		if code, said := inProcess(args("config", []string{"check"}, c.args)...); code != exitUsage || !strings.Contains(said, c.want) {
			t.Errorf("%v: %d %s", c.args, code, said)
		}
	}
	p := startIn(t, []string{"PLUSONE_MAX_BOYD=1"}, "config", "check", good)
	if code := p.end(t, 0); code != exitUsage || !strings.Contains(p.said(), "is it to be PLUSONE_MAX_BODY?") {
		t.Errorf("%d %s", code, p.said())
	}
	p = startIn(t, []string{"PLUSONE_PORT_8080_TCP=tcp://10.0.0.1:8080"}, "config", "check", "--json", good)
	var report struct {
		Good  bool
		Notes []string
	}
	if code := p.end(t, 0); code != exitOK || json.Unmarshal([]byte(p.said()), &report) != nil || !report.Good || !slices.Contains(report.Notes, "variable PLUSONE_PORT_8080_TCP sets nothing") {
		t.Errorf("%d %s", code, p.said())
	}
}
