package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"plusone/cmd/internal/settings"
	"plusone/cmd/internal/stores"
	"plusone/hotpath/counter"
	"plusone/tasks/ledger"
	"plusone/tasks/transfer"
)

type importCmd struct {
	settings.Redis    `group:"Stores"`
	settings.Postgres `group:"Stores"`
	Unsafe            bool `group:"Stores" help:"Go on although Redis may evict likes."`

	File         string   `arg:"" optional:"" help:"File of CSV with a line of names, or of NDJSON, also gzipped; - is the standard input. Its columns: item, user, and if there are any liked (true, false) and liked_at."`
	Format       string   `help:"What the file is: csv or ndjson; by its name, if it is not given." enum:"csv,ndjson," default:"" placeholder:"FORMAT"`
	FromPostgres string   `name:"from-postgres" help:"Instead of a file: another Postgres, which is only read." placeholder:"URL"`
	Query        string   `help:"What to ask there, with the columns of a file." placeholder:"SQL"`
	Key          string   `help:"Column of --query to sort by, so that an import that was cut off goes on where it was; it had better have an index." placeholder:"NAME"`
	Columns      []string `help:"Columns that have other names: item=post_id,user=member_id. Numbers, from 1, for CSV without a line of names." placeholder:"OURS=THEIRS"`
	Rejects      string   `help:"Where to keep what can't be brought in, with reasons (default: the file's name and .rejects)." placeholder:"FILE"`
	Restart      bool     `help:"Begin anew, although an import of this source was cut off."`
	DryRun       bool     `help:"Only tell what would change."`
	JSON         bool     `name:"json" help:"As JSON, a line each second while it goes on."`
}

// importPatience is how long a store may be away before an import gives up.
const importPatience = 2 * time.Minute

// Run brings likes in.
func (c importCmd) Run(ctx context.Context, out io.Writer) error {
	if err := missing(append(c.Redis.Missing(), c.Postgres.Missing()...)); err != nil {
		return err
	}
	in, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer func() { in.close() }() // which the source may have set by then
	rds, err := stores.OpenRedis(ctx, c.RedisURL, c.Unsafe)
	if err != nil {
		return err
	}
	defer func() { _ = rds.Close() }() // what matters has been answered
	pool, err := stores.OpenPostgres(ctx, c.PostgresURL, stores.PostgresOptions{Conns: 12})
	if err != nil {
		return err
	}
	defer pool.Close()
	return c.bring(ctx, in, rds, pool, out)
}

func (c importCmd) bring(ctx context.Context, in *input, rds *stores.Redis, pool *pgxpool.Pool, out io.Writer) error {
	led := ledger.New(pool)
	if err := led.CheckSchema(ctx); err != nil {
		return err
	}
	layout, err := led.Layout(ctx, 0)
	if err != nil {
		return err
	}
	run, note := ledger.ImportRun{Name: in.name, Started: time.Now()}, func(ledger.ImportRun, bool) error { return nil }
	if !c.DryRun {
		turn, found, err := led.TakeImport(ctx, in.identity, in.name, c.Restart)
		if errors.Is(err, ledger.ErrLocked) {
			return fmt.Errorf("another process is importing this: %w", err)
		}
		if err != nil {
			return err
		}
		defer turn.Close(ctx)
		run, note = found, func(r ledger.ImportRun, done bool) error { return turn.Note(context.WithoutCancel(ctx), r, done) }
	}
	src, err := in.records(ctx, run.Place)
	if err != nil {
		return err
	}
	show := newShow(out, in, c.JSON, run)
	importer := &transfer.Importer{
		Ledger: led, Log: counter.NewLog(rds.Client(), layout.Shards), DryRun: c.DryRun,
		Patience: importPatience, Waiting: show.waiting,
	}
	rejects := &rejectFile{name: in.rejects}
	defer rejects.close()
	last, err := importer.Run(ctx, src, run, func(r []*transfer.Reject) (int64, error) { return rejects.add(run.Rejects, r) },
		func(r ledger.ImportRun) error {
			show.progress(r)
			return note(r, false)
		})
	if err == nil {
		err = note(last, true)
	}
	return show.end(ctx, last, c.DryRun, in.rejects, err)
}

// open opens what is to be brought in.
func (c importCmd) open(ctx context.Context) (*input, error) {
	m, err := transfer.ParseMapping(c.Columns)
	switch {
	case err != nil:
		return nil, usage("%w", err)
	case (c.File == "") == (c.FromPostgres == ""):
		return nil, usage("name a file (- is the standard input), or --from-postgres and --query")
	case (c.Query == "") != (c.FromPostgres == "") || c.Key != "" && c.Query == "":
		return nil, usage("--query goes with --from-postgres, and --key with both")
	case c.FromPostgres != "":
		return c.openQuery(m), nil
	}
	return c.openFile(ctx, m)
}

// rejectFile is made with the first reject.
type rejectFile struct {
	name string
	file *os.File
}

// add keeps rejects behind the first n bytes of the file, which are from before, and
// returns how long it is then.
func (f *rejectFile) add(n int64, rejects []*transfer.Reject) (int64, error) {
	if f.file == nil {
		var err error
		if f.file, err = os.OpenFile(f.name, os.O_CREATE|os.O_RDWR, 0o600); err != nil {
			return 0, err
		}
		if err = f.file.Truncate(n); err != nil {
			return 0, err
		}
		if _, err = f.file.Seek(n, io.SeekStart); err != nil {
			return 0, err
		}
	}
	if err := transfer.WriteRejects(f.file, rejects); err != nil {
		return 0, err
	}
	return f.file.Seek(0, io.SeekCurrent)
}

func (f *rejectFile) close() {
	if f.file != nil {
		_ = f.file.Close() // each write has been answered
	}
}
