package main

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/term"
)

// isTerminal reports whether out is a terminal whose lines can be written over.
func isTerminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
}

// rewrite shows text in place of the line that a terminal shows, cut to its width: what
// is wider could not be taken away again.
func rewrite(out io.Writer, text string) (int, error) {
	if f, ok := out.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			text = cut(text, width-1)
		}
	}
	return fmt.Fprintf(out, "\r\x1b[K%s", text)
}

// cut is as much of text as width columns hold.
func cut(text string, width int) string {
	if runes := []rune(text); len(runes) > width {
		return string(runes[:width])
	}
	return text
}
