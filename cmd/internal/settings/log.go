package settings

import (
	"io"
	"log/slog"
	"os"

	"golang.org/x/term"
)

// Log is what is logged, and how.
type Log struct {
	LogLevel  slog.Level `help:"Least level that is logged: debug, info, warn or error. SIGHUP reads it from the file again." default:"info"`
	LogFormat string     `help:"auto is text on a terminal, else json." enum:"auto,json,text" default:"auto"`
}

// Logger logs to w as the settings say, what is at least of a level that may change
// later and begins as the settings say.
func (l Log) Logger(w io.Writer, level *slog.LevelVar) *slog.Logger {
	level.Set(l.LogLevel)
	options := &slog.HandlerOptions{Level: level}
	if l.LogFormat == "text" || l.LogFormat == "auto" && isTerminal(w) {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
