package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"plusone/tasks/ledger"
)

// importShow tells how far an import is: on a terminal in one line, else a line of JSON each
// second.
type importShow struct {
	out      io.Writer
	in       *input
	terminal bool
	began    time.Time
	from     ledger.ImportRun // where this process began
	shown    time.Time
}

func newShow(out io.Writer, in *input, asJSON bool, from ledger.ImportRun) *importShow {
	s := &importShow{out: out, in: in, terminal: isTerminal(out) && !asJSON, began: time.Now(), from: from}
	if from.Records > 0 {
		_, _ = fmt.Fprintf(os.Stderr, "Going on behind record %d, where the import of %s was cut off; --restart begins anew.\n",
			from.Records, from.Started.Local().Format(time.DateTime))
	}
	return s
}

// importLine is a line of JSON.
type importLine struct {
	Records  int64   `json:"records"`
	Brought  int64   `json:"brought"`
	Kept     int64   `json:"kept"`
	Rejected int64   `json:"rejected"`
	Rate     int64   `json:"rate"` // records a second, since this process began
	Percent  float64 `json:"percent,omitempty"`
	DryRun   bool    `json:"dry_run,omitempty"`
	Done     bool    `json:"done"`
}

func (s *importShow) line(r ledger.ImportRun) importLine {
	l := importLine{Records: r.Records, Brought: r.Brought, Kept: r.Kept, Rejected: r.Rejected}
	l.Rate = int64(float64(r.Records-s.from.Records) / max(time.Since(s.began).Seconds(), 0.001))
	if s.in.total > 0 {
		l.Percent = min(100, float64(int(1000*s.in.read.Load()/s.in.total))/10)
	}
	return l
}

func (s *importShow) progress(r ledger.ImportRun) {
	pause := time.Second
	if s.terminal {
		pause /= 5
	}
	if time.Since(s.shown) < pause {
		return
	}
	s.shown = time.Now()
	l := s.line(r)
	if !s.terminal {
		_ = json.NewEncoder(s.out).Encode(l) // nobody is left to be told if this fails
		return
	}
	bar := ""
	if s.in.total > 0 {
		full := int(l.Percent / 5)
		bar = fmt.Sprintf("[%s%s] %3.0f %%  ", strings.Repeat("=", full), strings.Repeat(" ", 20-full), l.Percent)
	}
	_, _ = rewrite(s.out, fmt.Sprintf("%s%d records, %d brought in, %d kept, %d rejected, %d/s", bar, l.Records, l.Brought, l.Kept, l.Rejected, l.Rate))
}

func (s *importShow) waiting(err error) {
	if s.terminal {
		_, _ = fmt.Fprintln(s.out)
	}
	_, _ = fmt.Fprintln(os.Stderr, "plusone: waiting:", err)
}

// end says what came of it, and how to go on.
func (s *importShow) end(ctx context.Context, r ledger.ImportRun, dry bool, rejects string, err error) error {
	if s.terminal {
		_, _ = fmt.Fprint(s.out, "\r\x1b[K")
	}
	l := s.line(r)
	l.DryRun, l.Done = dry, err == nil
	if !s.terminal {
		err = errors.Join(err, json.NewEncoder(s.out).Encode(l))
	} else if err == nil {
		verb := "brought in"
		if dry {
			verb = "would be brought in"
		}
		_, err = fmt.Fprintf(s.out, "%d records: %d %s; %d kept as they are, being there already or changed by their users since; %d rejected. %d records/s.\n",
			l.Records, l.Brought, verb, l.Kept, l.Rejected, l.Rate)
	}
	if r.Rejected > 0 {
		_, _ = fmt.Fprintf(os.Stderr, "What was rejected, and why: %s\n", rejects)
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		_, _ = fmt.Fprintf(os.Stderr, "Stopped behind record %d. %s\n", r.Records, s.goOn(dry))
		return ctx.Err()
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = fmt.Errorf("%s is cut off: %w", s.in.name, err)
	}
	return fmt.Errorf("behind record %d: %w\n%s", r.Records, err, s.goOn(dry))
}

func (s *importShow) goOn(dry bool) string {
	if dry {
		return "Nothing was changed."
	}
	return "What is in stays in; the same command goes on from here."
}
