// Command bench measures plusone beside what it is compared with, in one run: the
// real binary on private stores, its load in a process of its own, piece after
// piece in rotation, medians of ratios. Every piece ends by counting what is
// stored. scripts/dev/bench builds and runs it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"plusone/cmd/bench/baseline"
	"plusone/cmd/bench/load"
	"plusone/cmd/bench/pieces"
)

// The exit codes.
const (
	exitOK     = iota
	exitWrong  // a count was wrong
	exitFailed // wrong usage, or something could not be measured
)

type cli struct {
	Run   runCmd   `cmd:"" default:"withargs" help:"Measure."`
	Load  loadCmd  `cmd:"" hidden:"" help:"Be the load."`
	Serve serveCmd `cmd:"" hidden:"" help:"Be a baseline."`
}

type loadCmd struct {
	Plan string `arg:"" help:"load.Plan as JSON."`
}

// Run makes the load.
func (c loadCmd) Run(out io.Writer) error { return load.Serve(c.Plan, os.Stdin, out) }

type serveCmd struct {
	Name string `arg:""`
	baseline.Options
}

// Run serves until ctx ends.
func (c serveCmd) Run(ctx context.Context) error { return baseline.Serve(ctx, c.Name, c.Options) }

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, out, errOut io.Writer) int {
	var c cli
	parser, err := kong.New(&c, kong.Name("bench"), kong.Writers(out, errOut), kong.UsageOnError())
	if err == nil {
		var command *kong.Context
		if command, err = parser.Parse(args); err == nil {
			// The first signal ends the run in good order, the second one at once.
			ctx, restore := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
			defer restore()
			context.AfterFunc(ctx, restore)
			command.BindTo(ctx, (*context.Context)(nil))
			command.BindTo(out, (*io.Writer)(nil))
			err = command.Run()
		}
	}
	if err == nil {
		return exitOK
	}
	_, _ = fmt.Fprintln(errOut, "bench:", err)
	if errors.Is(err, pieces.ErrWrong) {
		return exitWrong
	}
	return exitFailed
}
