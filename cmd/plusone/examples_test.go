package main

import (
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// beyond is what a shell makes of a line behind and around the command itself.
var beyond = regexp.MustCompile(`( +#| \|| &&| >|\)).*$`)

// word is a word of a command line, quoted or not.
var word = regexp.MustCompile(`"[^"]*"|[^ ]+`)

// argsOf are the arguments of the plusone in a line.
func argsOf(line string) (args []string) {
	line = strings.ReplaceAll(line, "$(openssl rand -base64 32)", "secret")
	_, line, _ = strings.Cut(beyond.ReplaceAllString(line, ""), "plusone ")
	words := word.FindAllString(line, -1)
	for i, w := range words {
		if w == "--config" || i > 0 && words[i-1] == "--config" { // the file isn't here
			continue
		}
		args = append(args, strings.Trim(w, `"`))
	}
	return args
}

func TestEveryCommandHasExamplesThatItUnderstands(t *testing.T) {
	t.Parallel()
	app, err := kong.New(new(cli), kong.Name("plusone"))
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, leaf := range app.Model.Leaves(true) {
		name := leaf.FullPath()
		for _, p := range leaf.Positional {
			name = strings.TrimSpace(strings.TrimSuffix(name, p.Summary()))
		}
		name = strings.TrimPrefix(name, "plusone ")
		known[name] = true
		if len(examples[name]) == 0 {
			t.Errorf("plusone %s has no example", name)
		}
	}
	for name, lines := range maps.All(examples) {
		if !known[name] {
			t.Errorf("examples are there for plusone %s, which is not", name)
		}
		for _, line := range lines {
			_, command, err := parse(argsOf(line), io.Discard, io.Discard)
			if err != nil {
				t.Errorf("%s: %v", line, err)
				continue
			}
			if got := command.Selected().Path(); got != name {
				t.Errorf("%s: that is %s", line, got)
			}
		}
	}
	if !slices.Equal(argsOf(`source <(plusone saga retry --all --reason "a b") # c`), []string{"saga", "retry", "--all", "--reason", "a b"}) {
		t.Error("the lines are not read as a shell does")
	}
}
