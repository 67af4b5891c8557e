package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"plusone/scripts/dev/private/privatetest"
)

func TestWhoWritesACommandWrongIsToldWhereTheRightOnesAre(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "plusone dev runs everything"},
		{[]string{"serev"}, `did you mean "serve"?`},
		{[]string{"item", "freez"}, "run: plusone item --help"},
		{[]string{"serve", "--lisen=x"}, `did you mean "--listen"?`},
		{[]string{"serve", "--lisen=x"}, "run: plusone serve --help"},
		{[]string{"dead-letter", "show", "x"}, `"x" is no whole number`},
		{[]string{"dead-letter", "show", "x"}, "run: plusone dead-letter show --help"},
	} {
		if code, said := inProcess(c.args...); code != exitUsage || !strings.Contains(said, c.want) || strings.Contains(said, "settings:") {
			t.Errorf("plusone %s: %d %s, want %s", strings.Join(c.args, " "), code, said, c.want)
		}
	}
}

func TestBothStoresAreNamedWhenBothAreAway(t *testing.T) {
	t.Parallel()
	code, said := inProcess(args("serve", []string{"--redis-url=redis://127.0.0.1:1", "--postgres-url=postgres://127.0.0.1:1/x"}, ports)...)
	if code != exitFailed || strings.Count(said, "\n") != 2 ||
		!strings.Contains(said, "Redis at 127.0.0.1:1") || !strings.Contains(said, "Postgres at 127.0.0.1:1") {
		t.Errorf("%d %s", code, said)
	}
}

func TestWhatIsStoppedBeforeItIsDoneSaysSoAndExitsWithOne(t *testing.T) {
	t.Parallel()
	where := []string{"--redis-url", privatetest.Redis(t).URL(), "--postgres-url", privatetest.Postgres(t)}
	if p := start(t, args("migrate", where[2:])...); p.end(t, 0) != exitOK {
		t.Fatal(p.said())
	}
	endless := filepath.Join(t.TempDir(), "likes.csv")
	must(t, unix.Mkfifo(endless, 0o600))
	pipe, err := os.OpenFile(endless, os.O_RDWR, 0)
	must(t, err)
	defer func() { _ = pipe.Close() }()
	p := start(t, args("import", where, []string{endless})...)
	_, err = pipe.WriteString("item,user\n")
	must(t, err)
	eventually(t, "it has begun to read", func() bool {
		left, err := unix.IoctlGetInt(int(pipe.Fd()), unix.TIOCINQ)
		return err == nil && left == 0
	})
	if code := p.end(t, syscall.SIGINT); code != exitFailed || !strings.Contains(p.said(), "stopped before it was done") {
		t.Errorf("%d %s", code, p.said())
	}
}
