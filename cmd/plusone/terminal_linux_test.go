package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// openTerminal opens both ends of a terminal; a test closes the second one itself.
func openTerminal(t *testing.T) (master, terminal *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	must(t, err)
	t.Cleanup(func() { _ = master.Close() })
	must(t, unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	must(t, err)
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	must(t, err)
	return master, terminal
}

func TestALineThatIsWrittenOverIsNoWiderThanItsTerminal(t *testing.T) {
	t.Parallel()
	_, terminal := openTerminal(t)
	defer func() { _ = terminal.Close() }()
	must(t, unix.IoctlSetWinsize(int(terminal.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: 40, Row: 24}))
	for _, n := range []int{3, 39, 200} {
		wrote, err := rewrite(terminal, strings.Repeat("x", n))
		must(t, err)
		if want := len("\r\x1b[K") + min(n, 39); wrote != want {
			t.Errorf("of %d letters %d bytes are written, want %d", n, wrote, want)
		}
	}
}

// onTerminal runs a command whose output is a terminal and returns what that shows.
func onTerminal(t *testing.T, command ...string) string {
	t.Helper()
	master, terminal := openTerminal(t)
	shown := make(chan string)
	go func() {
		b, _ := io.ReadAll(master) // it ends with an error when the last writer has gone
		shown <- string(b)
	}()
	var said strings.Builder
	code := run(command, terminal, &said)
	must(t, terminal.Close())
	text := <-shown
	if code != exitOK {
		t.Fatalf("plusone %s ends with %d: %s%s", strings.Join(command, " "), code, text, said.String())
	}
	return text
}

func TestARevocationShowsHowFarItIsInOneLineOfATerminal(t *testing.T) {
	t.Parallel()
	h := dev(t, filepath.Join(t.TempDir(), "data"))
	for i := range 3 {
		h.ask(t, "PUT", likeOf(fmt.Sprintf("page%d", i)), "bad")
	}
	h.drained(t)
	shown := onTerminal(t, "revoke", "--postgres-url="+h.pg, "--user=bad", "--reason=bots")
	line, rest, ended := strings.Cut(shown, "\r\n")
	updates := strings.Split(line, "\r\x1b[K")
	if !ended || rest != "" || len(updates) < 2 || updates[0] != "" || strings.Contains(line, "{") {
		t.Fatalf("it shows %q", shown)
	}
	for _, u := range updates[1:] {
		if !strings.HasPrefix(u, "rev_") || !strings.Contains(u, " of about 3 likes of 1 users taken back") {
			t.Errorf("a line that is written over: %q", u)
		}
	}
	if last := updates[len(updates)-1]; !strings.Contains(last, "  done: 3 of about 3 likes") {
		t.Errorf("the last of %d: %q", len(updates)-1, last)
	}
}
