package main

import (
	"embed"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/template"

	"github.com/alecthomas/kong"
)

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

//go:embed completion/*.tmpl
var completionFiles embed.FS

// Run prints the script that makes a shell complete commands, flags and their
// values. The script holds them all and asks nobody, so it is to be made anew after
// an upgrade.
func (c completionCmd) Run(app *kong.Kong, out io.Writer) error {
	file := "bash.tmpl"
	if c.Shell == "fish" {
		file = "fish.tmpl"
	}
	scripts := template.New("").Funcs(template.FuncMap{
		"join":  func(words []string) string { return strings.Join(words, " ") },
		"quote": strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace,
	})
	if _, err := scripts.ParseFS(completionFiles, "completion/*.tmpl"); err != nil {
		return fmt.Errorf("completion: %w", err)
	}
	words := wordsOf(app.Model)
	words.Shell = c.Shell
	return scripts.ExecuteTemplate(out, file, words)
}

// words are all that can be completed.
type words struct {
	Shell string
	Nodes []node
	Flags []*flag // by name, each once
}

// node is a place on the command line: behind plusone, or behind a command.
type node struct {
	At       string // the commands so far, a space before each
	Commands []*kong.Node
	Values   []string // of the command's arguments
	Words    []string // everything that fits here
	Files    bool     // an argument is one
}

type flag struct {
	Name, Help        string
	At                []string // where it fits
	TakesValue, Files bool
	Values            []string // those that it knows
}

func wordsOf(app *kong.Application) *words {
	w := &words{}
	w.add(app.Node, "", nil)
	slices.SortFunc(w.Flags, func(a, b *flag) int { return strings.Compare(a.Name, b.Name) })
	return w
}

// add adds what fits behind at, and behind its commands. above are the flags of the
// commands around it.
func (w *words) add(n *kong.Node, at string, above []*kong.Flag) {
	here := slices.Concat(n.Flags, above)
	place := node{At: at}
	for _, c := range n.Children {
		if !c.Hidden {
			place.Commands = append(place.Commands, c)
			place.Words = append(place.Words, c.Name)
		}
	}
	fits := here
	if n.DefaultCmd != nil { // its name may be left out
		fits = slices.Concat(here, n.DefaultCmd.Flags)
	}
	for _, f := range fits {
		place.Words = append(place.Words, "--"+f.Name)
		w.flag(f, at)
	}
	for _, p := range n.Positional {
		place.Values = append(place.Values, values(p)...)
		place.Files = place.Files || p.Name == "file"
	}
	place.Words = append(place.Words, place.Values...)
	w.Nodes = append(w.Nodes, place)
	for _, c := range place.Commands {
		w.add(c, at+" "+c.Name, here)
	}
}

// flag notes that f fits behind at; flags of one name are the same setting.
func (w *words) flag(f *kong.Flag, at string) {
	i := slices.IndexFunc(w.Flags, func(known *flag) bool { return known.Name == f.Name })
	if i < 0 {
		i = len(w.Flags)
		help, _, _ := strings.Cut(f.Help, " ($")
		w.Flags = append(w.Flags, &flag{
			Name: f.Name, Help: help, TakesValue: !f.IsBool(), Values: values(f.Value),
			Files: f.PlaceHolder == "FILE" || f.PlaceHolder == "DIR",
		})
	}
	w.Flags[i].At = append(w.Flags[i].At, at)
}

// values are those that a flag or an argument knows.
func values(v *kong.Value) []string {
	switch {
	case v.Enum != "":
		return v.EnumSlice()
	case v.Name == "log-level":
		return []string{"debug", "info", "warn", "error"}
	}
	return nil
}
