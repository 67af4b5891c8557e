package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestAnExportThatIsCutOffAtOnceCanBeTakenUp(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "likes.csv")
	for range 2 { // the second finds what the first has left
		to, err := openOutput(name, "likes as ndjson", false)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = to.file.WriteString("half a li")
		to.close()
	}
	to, err := openOutput(name, "likes as ndjson", false)
	if err != nil {
		t.Fatal(err)
	}
	defer to.close()
	if info, err := os.Stat(name); err != nil || info.Size() != 0 {
		t.Errorf("half a line is left: %v, %v", info, err)
	}
}

func TestAnExportIsNotTakenUpInAFileThatLacksItsBeginning(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "likes.csv")
	to, err := openOutput(name, "likes as ndjson", false)
	if err != nil {
		t.Fatal(err)
	}
	to.state.Bytes = 9
	must(t, to.keep())
	to.close()
	if _, err := openOutput(name, "likes as ndjson", false); !errors.As(err, new(usageError)) {
		t.Errorf("a file that is too short: %v", err)
	}
	must(t, os.Remove(name))
	if _, err := openOutput(name, "likes as ndjson", false); !errors.As(err, new(usageError)) {
		t.Errorf("a file that is gone: %v", err)
	}
	if _, err := os.Stat(name); err == nil {
		t.Error("it is made all the same")
	}
}
