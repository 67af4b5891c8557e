package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestSIGHUPReadsTheLogLevelFromTheFileAgain(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "plusone.yaml")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("log-level: info\n")
	p := startIn(t, []string{"PLUSONE_MAX_CONNS=99"}, args("api", migrated(t), ports, []string{"--config", path})...)
	hup := func(text, want string) {
		write(text)
		if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		p.find(t, "("+want+")")
	}
	url := p.find(t, publicURL)
	request(t, "GET", url+"/nowhere") // a line for debugging, if that is wanted
	hup("log-level: debug\nmax-body: 77\nmax-conns: 3\n", `"log_level":"DEBUG","from":"[^"]+plusone.yaml","need_a_restart":\["max-body"\]`)
	if said := p.said(); strings.Contains(said, "request refused") {
		t.Errorf("a line for debugging at info: %s", said)
	}
	request(t, "GET", url+"/nowhere")
	p.find(t, `("level":"DEBUG","msg":"request refused")`)
	hup("log-level: [", "settings are wrong")
	hup("log-level: warn\n", `"level":"WARN","msg":"settings were read again"`)
	if code := p.end(t, syscall.SIGTERM); code != exitOK {
		t.Errorf("api ends with %d", code)
	}
}
