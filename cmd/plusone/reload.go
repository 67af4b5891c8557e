package main

import (
	"cmp"
	"context"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"golang.org/x/term"

	"plusone/cmd/internal/settings"
)

// reload reads the settings again when SIGHUP asks for it, and goes by the log level
// that they have then; the flag and the variable beat the file as ever. What else has
// changed is named: it takes a restart. Settings that can't be read change nothing.
type reload struct {
	level *slog.LevelVar
	asked chan os.Signal // holds one, which stands for any number
	start settings.Table // what this process runs with
	args  []string
}

// hear makes SIGHUP wait for run. On a terminal it says that the terminal is gone,
// and ends the process as ever.
func (r *reload) hear() {
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		signal.Notify(r.asked, syscall.SIGHUP)
	}
}

// run answers until ctx ends.
func (r *reload) run(ctx context.Context) error {
	defer signal.Stop(r.asked)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.asked:
			r.read(ctx)
		}
	}
}

func (r *reload) read(ctx context.Context) {
	c, command, err := parse(r.args, io.Discard, io.Discard)
	if err != nil {
		slog.ErrorContext(ctx, "settings are wrong; nothing changes", "error", err)
		return
	}
	var where string
	now := settings.InForce(command)
	for _, s := range now {
		if s.Name == "log-level" {
			where = cmp.Or(s.Where, string(s.Source))
		}
	}
	r.level.Set(c.LogLevel)
	others := slices.DeleteFunc(r.start.Differ(now), func(name string) bool { return name == "log-level" })
	slog.Log(ctx, max(c.LogLevel, slog.LevelInfo), "settings were read again", // seen at any level
		"log_level", c.LogLevel, "from", where, "need_a_restart", others)
}
