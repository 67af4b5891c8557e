package transfer

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// The formats of files.
const (
	CSV    = "csv"
	NDJSON = "ndjson"
)

// FormatOf tells a file's format by its name, "" when that says nothing.
func FormatOf(name string) string {
	name = strings.TrimSuffix(strings.ToLower(name), ".gz")
	switch {
	case strings.HasSuffix(name, ".csv"):
		return CSV
	case strings.HasSuffix(name, ".ndjson"), strings.HasSuffix(name, ".jsonl"):
		return NDJSON
	}
	return ""
}

// lineMost is how long a line of NDJSON may be.
const lineMost = 1 << 20

// Head is the beginning of what r yields, as it is stored: it tells sources apart.
func Head(r *bufio.Reader) ([]byte, error) {
	head, err := r.Peek(r.Size())
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return head, err
}

// OpenFile reads records of a format from r, gzipped or not.
func OpenFile(r *bufio.Reader, format string, m Mapping) (Source, error) {
	in := io.Reader(r)
	if magic, _ := r.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		zip, err := gzip.NewReader(r)
		if err != nil {
			return nil, fmt.Errorf("unpack: %w", err)
		}
		in = zip
	}
	if format == NDJSON {
		lines := bufio.NewScanner(in)
		lines.Buffer(make([]byte, 0, 64<<10), lineMost)
		return &lineFile{lines: lines, mapping: m}, nil
	}
	return openCSV(in, m)
}

// csvFile is a file of CSV, with a line of names or without.
type csvFile struct {
	in *csv.Reader
	at [columns]int
}

func openCSV(in io.Reader, m Mapping) (Source, error) {
	f := &csvFile{in: csv.NewReader(in)}
	f.in.FieldsPerRecord, f.in.ReuseRecord = -1, true
	at, numbered, err := m.numbered()
	if numbered || err != nil {
		f.at = at
		return f, err
	}
	names, err := f.in.Read()
	switch {
	case errors.Is(err, io.EOF):
		return f, nil
	case err != nil:
		return nil, fmt.Errorf("read the names of the columns: %w", err)
	}
	names[0] = strings.TrimPrefix(names[0], "\ufeff") // as spreadsheets begin a file
	f.at, err = m.named(names)
	return f, err
}

// Next implements Source.
func (f *csvFile) Next() (Record, error) {
	row, err := f.in.Read()
	var bad *csv.ParseError
	switch {
	case errors.As(err, &bad):
		return Record{}, &Reject{Line: int64(bad.Line), Reason: bad.Err.Error(), Text: strings.Join(row, ",")}
	case err != nil:
		return Record{}, err
	}
	line, _ := f.in.FieldPos(0)
	var fields [columns]string
	for c, i := range f.at {
		if i >= len(row) {
			return Record{}, &Reject{int64(line), fmt.Sprintf("the line has %d columns, %q is number %d", len(row), known[c][0], i+1), strings.Join(row, ",")}
		}
		if i >= 0 {
			fields[c] = row[i]
		}
	}
	r, err := record(int64(line), fields)
	if err != nil {
		return Record{}, &Reject{int64(line), err.Error(), strings.Join(row, ",")}
	}
	return r, nil
}

// Place implements Source.
func (f *csvFile) Place() string { return "" }

// lineFile is a file with an object of JSON per line.
type lineFile struct {
	lines   *bufio.Scanner
	mapping Mapping
	n       int64
}

// Next implements Source.
func (f *lineFile) Next() (Record, error) {
	for f.lines.Scan() {
		f.n++
		line := bytes.TrimSpace(f.lines.Bytes())
		if len(line) == 0 {
			continue
		}
		fields, err := f.fields(line)
		var r Record
		if err == nil {
			r, err = record(f.n, fields)
		}
		if err != nil {
			return Record{}, &Reject{f.n, err.Error(), string(line)}
		}
		return r, nil
	}
	switch err := f.lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return Record{}, fmt.Errorf("line %d is longer than %d bytes: is this NDJSON?", f.n+1, lineMost)
	case err != nil:
		return Record{}, err
	}
	return Record{}, io.EOF
}

// Place implements Source.
func (f *lineFile) Place() string { return "" }

func (f *lineFile) fields(line []byte) (fields [columns]string, err error) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(line, &object); err != nil {
		return fields, fmt.Errorf("no object of JSON: %w", err)
	}
	for c := range fields {
		names := known[c]
		if f.mapping[c] != "" {
			names = []string{f.mapping[c]}
		}
		for _, name := range names {
			if raw, has := object[name]; has {
				if fields[c], err = scalar(raw); err != nil {
					return fields, fmt.Errorf("%s: %w", name, err)
				}
				break
			}
		}
	}
	return fields, nil
}

// scalar is a value as text: a string, a number, true or false; null is "".
func scalar(raw json.RawMessage) (s string, err error) {
	switch raw[0] {
	case '"':
		err = json.Unmarshal(raw, &s)
		return s, err
	case '{', '[':
		return "", errors.New("want a text, a number, true or false")
	case 'n':
		return "", nil
	}
	return string(raw), nil
}
