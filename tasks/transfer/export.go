package transfer

import (
	"bufio"
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"plusone/tasks/ledger"
)

// Writer writes what is exported, as CSV or NDJSON, gzipped or not. It is not safe for
// concurrent use.
type Writer struct {
	out    *bufio.Writer
	zip    *gzip.Writer // nil: not packed
	csv    *csv.Writer  // nil: NDJSON
	votes  bool
	header bool // is still to be written
	length int64
}

// NewWriter writes to out, from its length on; only an empty one gets a line of names.
func NewWriter(out io.Writer, format string, zip, votes bool, length int64) *Writer {
	w := &Writer{votes: votes, header: length == 0, length: length}
	w.out = bufio.NewWriterSize(counted{out, &w.length}, 64<<10)
	dest := io.Writer(w.out)
	if zip {
		w.zip = gzip.NewWriter(w.out)
		dest = w.zip
	}
	if format == CSV {
		w.csv = csv.NewWriter(dest)
	}
	return w
}

// counted counts what has been written.
type counted struct {
	to io.Writer
	n  *int64
}

func (c counted) Write(b []byte) (int, error) {
	n, err := c.to.Write(b)
	*c.n += int64(n)
	return n, err
}

// line is what NDJSON holds of a like or a vote.
type line struct {
	Item   string    `json:"item"`
	User   string    `json:"user,omitempty"`
	Ref    string    `json:"ref,omitempty"`
	Weight int64     `json:"weight,omitempty"`
	At     time.Time `json:"liked_at"`
}

// Write writes one like or vote.
func (w *Writer) Write(e ledger.Exported) error {
	at := e.At.UTC()
	if w.csv == nil {
		text, err := json.Marshal(line{e.Item, e.User, e.Ref, e.Weight, at})
		if err != nil {
			return err
		}
		dest := io.Writer(w.out)
		if w.zip != nil {
			dest = w.zip
		}
		_, err = dest.Write(append(text, '\n'))
		return err
	}
	if w.header {
		w.header = false
		if err := w.csv.Write(w.names()); err != nil {
			return err
		}
	}
	row := []string{e.Item, e.User, at.Format(time.RFC3339Nano)}
	if w.votes {
		row = []string{e.Item, e.Ref, strconv.FormatInt(e.Weight, 10), at.Format(time.RFC3339Nano)}
	}
	return w.csv.Write(row)
}

func (w *Writer) names() []string {
	if w.votes {
		return []string{"item", "ref", "weight", "at"}
	}
	return []string{"item", "user", "liked_at"}
}

// Flush writes out what was taken, so that the file can be cut off here and is whole. It
// returns the file's length.
func (w *Writer) Flush() (int64, error) {
	if w.csv != nil {
		w.csv.Flush()
		if err := w.csv.Error(); err != nil {
			return 0, fmt.Errorf("write: %w", err)
		}
	}
	if w.zip != nil { // parts that stand behind each other unpack to one text
		if err := w.zip.Close(); err != nil {
			return 0, fmt.Errorf("write: %w", err)
		}
		w.zip.Reset(w.out)
	}
	if err := w.out.Flush(); err != nil {
		return 0, fmt.Errorf("write: %w", err)
	}
	return w.length, nil
}
