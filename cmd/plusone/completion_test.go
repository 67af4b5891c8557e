package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// shell runs a script in a shell for which plusone has written a completion, the
// path of which is its first argument.
func shell(t *testing.T, name, script string) []string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is missing", name)
		}
		t.Skipf("%s is missing: its completion is not tried", name)
	}
	code, text := inProcess("completion", name)
	if code != exitOK {
		t.Fatalf("%d %s", code, text)
	}
	file := filepath.Join(t.TempDir(), "completion")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"-c", script, file}
	if name == "fish" {
		args = []string{"--no-config", "-c", script, file}
	}
	out, err := exec.Command(path, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", name, err, out)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

// want is what a shell is to offer for the last word.
var want = []struct {
	line   string // words, the last of which is begun
	offers string
}{
	{"plusone sa", "saga"},
	{"plusone saga l", "list"},
	{"plusone saga list --js", "--json"},
	{"plusone serve --redi", "--redis-url"},
	{"plusone serve --auth co", "cookie"},
	{"plusone --log-level deb", "debug"},
	{"plusone migrate --postg", "--postgres-url"}, // of migrate up, whose name may be left out
	{"plusone completion f", "fish"},
	{"plusone version --redi", ""},
}

func TestBashCompletesCommandsFlagsAndValues(t *testing.T) {
	t.Parallel()
	script := `source "$0"; try() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _plusone; echo "<${COMPREPLY[*]}>"; }` + "\n"
	for _, w := range want {
		script += "try " + w.line + "\n"
	}
	script += "try plusone serve --auth = co\n" // as bash splits it
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "a key"), nil, 0o600))
	script += "try plusone serve --jwt-secret-file '" + dir + "/a'; echo ${#COMPREPLY[@]}\n"
	script += "complete -p plusone\n"
	got := shell(t, "bash", script)
	if len(got) != len(want)+4 {
		t.Fatalf("%q", got)
	}
	for i, w := range want {
		if got[i] != "<"+w.offers+">" {
			t.Errorf("%s offers %s, want %s", w.line, got[i], w.offers)
		}
	}
	if got[len(want)] != "<cookie>" {
		t.Errorf("--auth=co offers %s", got[len(want)])
	}
	if file := got[len(want)+1:]; file[0] != "<"+filepath.Join(dir, "a key")+">" || file[1] != "1" {
		t.Errorf("a file whose name has a space is offered as %s of %s", file[0], file[1])
	} else if !strings.Contains(file[2], "-o default") { // plusone import FILE
		t.Errorf("where nothing fits no file does: %s", file[2])
	}
}

// zsh leaves out itself what does not begin like the last word.
func TestZshTakesTheSameScript(t *testing.T) {
	t.Parallel()
	got := shell(t, "zsh", `source "$0"; emulate -L sh; COMP_WORDS=(plusone serve --auth co); COMP_CWORD=3; _plusone; echo "${COMPREPLY[*]}"`)
	if got[0] != "header jwt cookie" {
		t.Errorf("zsh offers %q", got)
	}
}

func TestFishCompletesCommandsFlagsAndValues(t *testing.T) {
	t.Parallel()
	script := "source $argv[1]\n"
	for _, w := range want {
		script += "echo '<'(complete -C '" + w.line + "' | string replace -r '\\t.*' '')'>'\n"
	}
	got := shell(t, "fish", script)
	i := 0
	for _, w := range want {
		if w.offers == "" { // fish prints no line for an empty list
			continue
		}
		if i >= len(got) || got[i] != "<"+w.offers+">" {
			t.Errorf("%s: %q, want %s", w.line, got[min(i, len(got)-1)], w.offers)
		}
		i++
	}
}
