package private

import "testing"

func TestOfAllThatAServerSaysTheComplaintIsKept(t *testing.T) {
	for output, want := range map[string]string{
		"creating directory data ... ok\nrunning bootstrap script ... 2026-11-22 [1] FATAL:  could not write to file \"x\": No space left on device\nchild process exited\n": "FATAL:  could not write to file \"x\": No space left on device",
		"initdb: error: directory \"data\" exists but is not empty\ninitdb: hint: remove it\n":                                                                               "error: directory \"data\" exists but is not empty",
		"1:M 22 Nov 2026 * Ready\n1:M 22 Nov 2026 # Can't open the append-only file: Permission denied\n":                                                                    "Can't open the append-only file: Permission denied",
		"one\ntwo\n\n": "two",
		"":             "it says nothing",
	} {
		if got := complaint(output); got != want {
			t.Errorf("%q: %q, want %q", output, got, want)
		}
	}
}
