package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"plusone/tasks/transfer"
)

// input is what an import reads.
type input struct {
	name     string // for people
	identity string // tells it from others, wherever it lies
	rejects  string
	total    int64 // bytes; 0: nobody knows
	read     atomic.Int64
	records  func(ctx context.Context, place string) (transfer.Source, error)
	close    func()
}

// identify makes an identity of parts.
func identify(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		_, _ = fmt.Fprintf(h, "%d %s\n", len(p), p) // a hash does not fail
	}
	return hex.EncodeToString(h.Sum(nil))
}

func (c importCmd) openQuery(m transfer.Mapping) *input {
	in := &input{
		name: "--query", rejects: c.Rejects, close: func() {},
		identity: identify("postgres", c.FromPostgres, c.Query, c.Key, fmt.Sprint(m)),
	}
	if in.rejects == "" {
		in.rejects = "import.rejects"
	}
	in.records = func(ctx context.Context, place string) (transfer.Source, error) {
		q, err := transfer.OpenQuery(ctx, c.FromPostgres, c.Query, c.Key, place, m)
		if errors.As(err, new(*pgconn.ConnectError)) {
			return nil, fmt.Errorf("the Postgres of --from-postgres can't be reached: %w", err)
		}
		if err != nil {
			return nil, usage("%w", err)
		}
		in.close = func() {
			ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			q.Close(ending)
		}
		return q, nil
	}
	return in
}

// headBytes of a file tell it from others, with its length.
const headBytes = 64 << 10

func (c importCmd) openFile(ctx context.Context, m transfer.Mapping) (*input, error) {
	in, format := &input{name: c.File, rejects: c.Rejects}, c.Format
	if format == "" {
		format = transfer.FormatOf(c.File)
	}
	if format == "" {
		return nil, usage("the name of the file does not tell what it is: say --format csv or --format ndjson")
	}
	f := os.Stdin
	if c.File == "-" {
		in.name = "the standard input"
	} else {
		var err error
		if f, err = os.Open(c.File); err != nil {
			return nil, usage("%w", err)
		}
	}
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
		in.total = info.Size()
	}
	if in.rejects == "" {
		in.rejects = "import.rejects"
		if c.File != "-" {
			in.rejects = c.File + ".rejects"
		}
	}
	// A read that waits for a pipe ends with the command.
	letGo := context.AfterFunc(ctx, func() { _ = f.Close() })
	in.close = func() { letGo(); _ = f.Close() }
	r := bufio.NewReaderSize(meter{f, &in.read}, headBytes)
	head, err := transfer.Head(r)
	if err != nil {
		in.close()
		if ctx.Err() != nil { // that has closed it
			err = ctx.Err()
		}
		return nil, fmt.Errorf("read %s: %w", in.name, err)
	}
	in.identity = identify(format, fmt.Sprint(m), fmt.Sprint(in.total), string(head))
	in.records = func(context.Context, string) (transfer.Source, error) {
		src, err := transfer.OpenFile(r, format, m)
		if err != nil {
			return nil, in.misread(format, err)
		}
		return src, nil
	}
	return in, nil
}

// misread says what is wrong with the head of a file.
func (in *input) misread(format string, err error) error {
	if format == transfer.CSV && errors.Is(err, transfer.ErrMapping) {
		return usage("%s: %w; or, if its first line holds no names, --columns item=1,user=2", in.name, err)
	}
	return usage("%s: %w", in.name, err)
}

// meter counts what is read.
type meter struct {
	from io.Reader
	n    *atomic.Int64
}

func (m meter) Read(b []byte) (int, error) {
	n, err := m.from.Read(b)
	m.n.Add(int64(n))
	return n, err
}
