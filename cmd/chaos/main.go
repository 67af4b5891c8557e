// Command chaos is the proof by fire: it runs the built plusone in its roles
// over a Redis and a Postgres of its own, puts a load on it that knows what it
// was promised, and hurts every part of it in turn. At the end nothing may be
// lost, wrong, repaired without damage, or leaked.
//
// scripts/dev/chaos builds and runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"plusone/cmd/chaos/fire"
)

// The exit codes.
const (
	exitOK     = iota
	exitBroken // a promise was broken
	exitFailed // there is no verdict: wrong usage, or the machine lacks something
)

// options are the flags.
type options struct {
	bin     string
	out     string
	minutes float64
	seed    uint64
	fsync   string
	goal    time.Duration
	only    []string

	participants bool
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, out, errOut io.Writer) int {
	redis.SetLogger(silence{})
	o, err := parse(args, errOut)
	if errors.Is(err, flag.ErrHelp) {
		return exitOK
	}
	if err != nil {
		return exitFailed
	}
	// The first signal ends the run in good order, the second one at once.
	ctx, restore := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer restore()
	context.AfterFunc(ctx, restore)

	ok, err := prove(ctx, o, out)
	switch {
	case err != nil:
		_, _ = fmt.Fprintln(errOut, "chaos:", err)
		return exitFailed
	case !ok:
		return exitBroken
	}
	return exitOK
}

// silence is where go-redis says that it cannot connect: that is the idea.
type silence struct{}

// Printf implements the logger of go-redis.
func (silence) Printf(context.Context, string, ...any) {}

func parse(args []string, errOut io.Writer) (o options, err error) {
	f := flag.NewFlagSet("chaos", flag.ContinueOnError)
	f.SetOutput(errOut)
	f.StringVar(&o.bin, "plusone", "bin/plusone", "the `program` to prove")
	f.StringVar(&o.out, "out", "", "`directory` for the report (default .plusone/chaos/<time>-<seed>)")
	f.Float64Var(&o.minutes, "minutes", 2, "how long the load runs")
	f.Uint64Var(&o.seed, "seed", uint64(time.Now().Unix()), "what decides about the faults and the load (default the time)")
	f.StringVar(&o.fsync, "fsync", "always", "Redis' appendfsync: always or everysec")
	f.DurationVar(&o.goal, "goal", 5*time.Second, "`time` to full speed after each fault; a busy machine needs more")
	f.BoolVar(&o.participants, "participants", false, "let three services have to agree to likes, and misbehave, too")
	only := f.String("only", "", "`faults`, separated by commas, instead of all: "+strings.Join(fire.Names(), ", "))
	if err := f.Parse(args); err != nil {
		return o, err
	}
	switch {
	case f.NArg() > 0:
		err = fmt.Errorf("unknown argument %q", f.Arg(0))
	case o.fsync != "always" && o.fsync != "everysec":
		err = fmt.Errorf("--fsync is always or everysec, not %q", o.fsync)
	case o.minutes < 0.5:
		err = errors.New("--minutes must be at least 0.5")
	case o.goal <= 0:
		err = errors.New("--goal must be more than nothing")
	}
	if err != nil {
		_, _ = fmt.Fprintln(errOut, "chaos:", err)
		return o, err
	}
	if *only != "" {
		o.only = strings.Split(*only, ",")
	}
	if o.out == "" {
		o.out = filepath.Join(".plusone", "chaos", fmt.Sprintf("%s-%d", time.Now().UTC().Format("20060102-150405"), o.seed))
	}
	return o, nil
}
