package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"plusone/tasks/ledger"
	"plusone/tasks/transfer"
)

// cutOff is a file into which an export wrote a whole line and a part of the next one.
func cutOff(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "likes.ndjson")
	to, err := openOutput(name, "likes as ndjson", false)
	must(t, err)
	w := transfer.NewWriter(to.file, transfer.NDJSON, false, false, 0)
	must(t, w.Write(ledger.Exported{Item: "a", User: "u"}))
	to.state.Likes, to.state.After = 1, ledger.ExportPlace{Item: "a", By: "u"}
	must(t, to.note(w))
	_, err = to.file.WriteString(`{"item":"b","us`)
	must(t, err)
	to.close()
	return name
}

func TestAnExportThatWasCutOffGoesOnBehindWhatIsWhole(t *testing.T) {
	t.Parallel()
	name := cutOff(t)
	to, err := openOutput(name, "likes as ndjson", false)
	must(t, err)
	w := transfer.NewWriter(to.file, transfer.NDJSON, false, false, to.state.Bytes)
	must(t, w.Write(ledger.Exported{Item: "c", User: "u"}))
	must(t, to.finish(w))
	to.close()
	text, err := os.ReadFile(name)
	must(t, err)
	if lines := strings.Split(string(text), "\n"); len(lines) != 3 || !strings.Contains(lines[0], `"a"`) || !strings.Contains(lines[1], `"c"`) {
		t.Errorf("%q", text)
	}
	if _, err := os.Stat(to.stateName()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it has ended, and beside it stands %v", err)
	}
}

func TestAnExportGoesOnInNoFileThatIsAnother(t *testing.T) {
	t.Parallel()
	for what, change := range map[string]func(name string) error{
		"other things":  func(string) error { return nil },
		"a shorter one": func(name string) error { return os.Truncate(name, 3) },
		"none":          os.Remove,
	} {
		name, kind := cutOff(t), "likes as ndjson"
		if what == "other things" {
			kind = "votes as ndjson"
		}
		must(t, change(name))
		var wrong usageError
		if _, err := openOutput(name, kind, false); !errors.As(err, &wrong) || !strings.Contains(err.Error(), "--restart") {
			t.Errorf("%s: %v", what, err)
		}
		to, err := openOutput(name, kind, true)
		must(t, err)
		if info, err := to.file.Stat(); err != nil || info.Size() != 0 || to.state.Likes != 0 {
			t.Errorf("%s, anew: %v %v", what, to.state, err)
		}
		to.close() // killed here, it must not leave what the export before has noted
		to, err = openOutput(name, kind, false)
		must(t, err)
		if to.state.Likes != 0 || to.state.Bytes != 0 {
			t.Errorf("%s, anew: it would go on behind %v", what, to.state)
		}
		to.close()
	}
}
