package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"

	"plusone/cmd/internal/stores"
)

// The exit codes that about promises.
const (
	exitOK = iota
	exitFailed
	exitUsage
)

// usageError is an error that the person who set something can put right.
type usageError struct{ error }

// Unwrap implements what errors.Is and errors.As ask for.
func (e usageError) Unwrap() error { return e.error }

// usage is fmt.Errorf for such errors.
func usage(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// fail tells a person why nothing came of the command.
func fail(w io.Writer, err error) int {
	_, _ = fmt.Fprintln(w, "plusone:", stores.Words(err)) // nobody is left to be told if this fails
	if errors.As(err, new(usageError)) || errors.Is(err, stores.ErrURL) {
		return exitUsage
	}
	return exitFailed
}

// misread is an error of the command line or the settings, with the command whose
// help tells what there is.
func misread(args []string, err error, command *kong.Context) error {
	if len(args) == 0 {
		return usage("which command? plusone dev runs everything, to try it; plusone --help tells the others")
	}
	if failed := new(kong.ParseError); errors.As(err, &failed) {
		command = failed.Context
	}
	words := []string{"plusone"}
	for _, p := range command.Path {
		if p.Command != nil {
			words = append(words, p.Command.Name)
		}
	}
	return usage("%w\nrun: %s --help", err, strings.Join(words, " "))
}
