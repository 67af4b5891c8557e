// Command plusone counts likes. One binary holds every role; README.md tells
// which to run where. This file is the wiring diagram, each command has a file
// of its own, and process.go holds what all that serve have in common.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
	"github.com/redis/go-redis/v9"

	"plusone/cmd/internal/settings"
)

type cli struct {
	settings.File
	settings.Log

	Dev          devCmd          `cmd:"" help:"Run everything in one process, over a Redis and a Postgres of its own."`
	Serve        serveCmd        `cmd:"" help:"Run API, worker and reconciler in one process, over the given stores."`
	API          apiCmd          `cmd:"" name:"api" help:"Run the API only."`
	Worker       workerCmd       `cmd:"" help:"Run the worker only: it moves likes into Postgres and tells receivers."`
	Reconcile    reconcileCmd    `cmd:"" help:"Compare and repair the stores, all the time or once."`
	Erase        eraseCmd        `cmd:"" help:"Remove a person from both stores, while everything runs."`
	Saga         sagaCmd         `cmd:"" help:"Look at likes that participants are to agree to, and act on those that hang."`
	Item         itemCmd         `cmd:"" help:"Freeze items, which then take no new likes, and unfreeze them."`
	Revoke       revokeCmd       `cmd:"" help:"Take back all likes of users, which can be undone."`
	Import       importCmd       `cmd:"" help:"Bring likes in from a file, or from another Postgres, while everything runs: what users have done stays, and nobody is told."`
	Export       exportCmd       `cmd:"" help:"Take all likes, or votes, out into a file that import can read, as of one moment."`
	Token        tokenCmd        `cmd:"" help:"Make a key for a server, or a token to try things with."`
	Letter       letterCmd       `cmd:"" name:"dead-letter" help:"Look at changes that Postgres has refused, and have them tried again."`
	Notification notificationCmd `cmd:"" help:"Look at what receivers were told of, and have it told once more."`
	Repairs      repairsCmd      `cmd:"" help:"Look at what the reconciler has found."`
	Migrate      migrateCmd      `cmd:"" help:"Bring the schema of Postgres up to date, or show where it is."`
	Doctor       doctorCmd       `cmd:"" help:"Say what each promise is worth on the given stores, with a fix for what is not well."`
	Health       healthCmd       `cmd:"" help:"Ask a running plusone whether it is ready, for probes without HTTP."`
	Config       configCmd       `cmd:"" help:"Look at the settings, without starting anything."`
	Version      versionCmd      `cmd:"" help:"Print the version, and what it was built from."`
	Completion   completionCmd   `cmd:"" help:"Print a script that makes bash, zsh or fish complete commands and flags."`
}

const about = `Counts likes: accepted in Redis, kept in Postgres, compared all the time.

Settings: a flag, else its PLUSONE_* variable, else its key in the --config file, else the default.

Exit codes: 0 done, or served until SIGINT or SIGTERM; 1 it failed, or was stopped by them before it was done; 2 wrong usage or settings. A second signal ends at once.`

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, out, errOut io.Writer) int {
	c, command, err := parse(args, out, errOut)
	if err != nil {
		return fail(errOut, misread(args, err, command))
	}
	again := &reload{level: new(slog.LevelVar), asked: make(chan os.Signal, 1), start: settings.InForce(command), args: args}
	log := c.Logger(errOut, again.level)
	slog.SetDefault(log)
	redis.SetLogger(redisLog{log})

	// The first signal asks; once it is heard the default is back, so the second
	// one ends the process.
	ctx, restore := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer restore()
	context.AfterFunc(ctx, restore)

	command.BindTo(ctx, (*context.Context)(nil))
	command.BindTo(out, (*io.Writer)(nil))
	err = command.Run(log, again)
	switch {
	case err == nil:
		return exitOK
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		err = errors.New("stopped before it was done")
	}
	return fail(errOut, err)
}

// parse reads the command line, the environment and the file.
func parse(args []string, out, errOut io.Writer) (*cli, *kong.Context, error) {
	c := new(cli)
	command, err := settings.Parse(c, args, os.Getenv, kong.Name("plusone"), kong.Description(about),
		kong.PostBuild(addExamples), kong.Writers(out, errOut), kong.ConfigureHelp(kong.HelpOptions{Compact: true, FlagsLast: true}))
	return c, command, err
}

// redisLog is where go-redis says that it cannot connect, many times a second.
// The calls' own errors tell the same.
type redisLog struct{ log *slog.Logger }

// Printf implements the logger of go-redis.
func (l redisLog) Printf(ctx context.Context, format string, v ...any) {
	l.log.DebugContext(ctx, "redis client: "+fmt.Sprintf(format, v...))
}
