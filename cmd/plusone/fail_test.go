package main

import (
	"strings"
	"testing"
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
