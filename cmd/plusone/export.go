package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"plusone/cmd/internal/settings"
	"plusone/cmd/internal/stores"
	"plusone/hotpath/counter"
	"plusone/hotpath/like"
	"plusone/tasks/ledger"
	"plusone/tasks/transfer"
)

type exportCmd struct {
	settings.Redis    `group:"Stores"`
	settings.Postgres `group:"Stores"`

	File    string         `arg:"" optional:"" default:"-" help:"Where to: .csv or .ndjson, with .gz behind it packed; - is the standard output."`
	Format  string         `help:"csv or ndjson; by the file's name, else ndjson." enum:"csv,ndjson," default:"" placeholder:"FORMAT"`
	Votes   bool           `help:"The votes that count, instead of the likes: item, ref, weight."`
	Wait    *time.Duration `help:"First wait until Postgres has all that has been accepted by now, for this long at most. Needs --redis-url, and a worker." placeholder:"TIME"`
	Restart bool           `help:"Begin anew, although there is a file, or an export into it was cut off."`
	JSON    bool           `name:"json" help:"Tell of it as JSON, a line each second while it goes on."`
}

// Run takes likes out.
func (c exportCmd) Run(ctx context.Context) error {
	if err := missing(c.Postgres.Missing()); err != nil {
		return err
	}
	format, err := c.format()
	if err != nil {
		return err
	}
	pool, err := stores.OpenPostgres(ctx, c.PostgresURL, stores.PostgresOptions{Conns: 2, Long: true})
	if err != nil {
		return err
	}
	defer pool.Close()
	led := ledger.New(pool)
	if err := led.CheckSchema(ctx); err != nil {
		return err
	}
	if c.Wait != nil {
		if err := c.drained(ctx, led); err != nil {
			return err
		}
	}
	to, err := openOutput(c.File, c.what(format), c.Restart)
	if err != nil {
		return err
	}
	defer to.close()
	w := transfer.NewWriter(to.file, format, strings.HasSuffix(c.File, ".gz"), c.Votes, to.state.Bytes)
	return c.write(ctx, led, to, w, os.Stderr)
}

// format is that of the file: as it is said, or by its name.
func (c exportCmd) format() (string, error) {
	format := c.Format
	if format == "" {
		format = transfer.FormatOf(c.File)
	}
	switch {
	case format != "":
		return format, nil
	case c.File == "-":
		return transfer.NDJSON, nil
	}
	return "", usage("the name of the file does not tell what it is to be: .csv, .ndjson, or --format")
}

// what is what the file will hold, for who takes it up.
func (c exportCmd) what(format string) string {
	if c.Votes {
		return "votes as " + format
	}
	return "likes as " + format
}

// exportEvery is how often it is noted how far an export is.
const exportEvery = 5 * time.Second

func (c exportCmd) write(ctx context.Context, led *ledger.Ledger, to *output, w *transfer.Writer, errOut io.Writer) error {
	if to.state.Likes > 0 {
		_, _ = fmt.Fprintf(errOut, "Going on behind %s %s, where the export of %s was cut off: what follows is of a later moment. --restart begins anew.\n",
			to.state.After.Item, to.state.After.By, to.state.Moments[0].At.Local().Format(time.DateTime))
	}
	told := exportShow{out: errOut, json: c.JSON, terminal: isTerminal(errOut) && !c.JSON, began: time.Now(), from: to.state.Likes}
	noted, broken := time.Now(), false
	err := led.Export(ctx, c.Votes, to.state.After, func(marks map[int]like.Version) error {
		to.state.Moments = append(to.state.Moments, momentOf(marks))
		return nil
	}, func(e ledger.Exported) error {
		if err := w.Write(e); err != nil {
			broken = true
			return err
		}
		to.state.Likes++
		to.state.After = ledger.ExportPlace{Item: e.Item, By: e.User + e.Ref} // one of them is empty
		if to.state.Likes%4096 > 0 {
			return nil
		}
		told.progress(to.state.Likes)
		if time.Since(noted) < exportEvery {
			return nil
		}
		noted = time.Now()
		return to.note(w)
	})
	switch {
	case err == nil:
		err = to.finish(w)
	case !broken:
		err = errors.Join(err, to.note(w))
	}
	return told.end(ctx, to, err)
}

// drained waits until the ledger has what the logs hold now.
func (c exportCmd) drained(ctx context.Context, led *ledger.Ledger) error {
	if err := missing(c.Redis.Missing()); err != nil {
		return fmt.Errorf("--wait: %w", err)
	}
	rds, err := stores.OpenRedis(ctx, c.RedisURL, true)
	if err != nil {
		return err
	}
	defer func() { _ = rds.Close() }() // nothing was written
	layout, err := led.Layout(ctx, 0)
	if err != nil {
		return err
	}
	logs := counter.NewLog(rds.Client(), layout.Shards)
	ends, err := logs.Tails(ctx)
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(*c.Wait); ; {
		marks, err := led.Watermarks(ctx)
		if err != nil {
			return err
		}
		behind := -1
		for shard, end := range ends {
			if end.Len > 0 && end.Last > marks[shard] {
				behind = shard
			}
		}
		switch {
		case behind < 0:
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("the log of shard %d is not drained: is a worker running? Without --wait the export has what is in Postgres", behind)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}
