package transfer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"plusone/hotpath/like"
)

// Record is one like from elsewhere.
type Record struct {
	Line  int64 // in its source, from 1
	Item  string
	User  string
	Liked bool
	At    time.Time // when it was made; zero: nobody knows
}

// Reject is a record that can't be brought in, and why.
type Reject struct {
	Line   int64  `json:"line"`
	Reason string `json:"reason"`
	Text   string `json:"text"`
}

// Error implements error.
func (r *Reject) Error() string { return fmt.Sprintf("line %d: %s", r.Line, r.Reason) }

// Source yields records.
type Source interface {
	// Next returns the next record, io.EOF after the last, or a *Reject: then go on.
	Next() (Record, error)
	// Place tells where to go on behind the last record, "" where records are counted.
	Place() string
}

// The columns of a record.
const (
	colItem = iota
	colUser
	colLiked
	colAt
	columns
)

// known are the names by which a column is found, the first is its own.
var known = [columns][]string{
	colItem:  {"item", "item_id"},
	colUser:  {"user", "user_id"},
	colLiked: {"liked"},
	colAt:    {"liked_at", "at", "created_at"},
}

// Mapping says how a source names the columns; "" is by a name that is known.
type Mapping [columns]string

// ErrMapping: a source has not the columns that it should have.
var ErrMapping = errors.New("columns")

// ParseMapping reads item=post_id,user=member,liked_at=created_at. A source without a
// line of names has numbers, from 1.
func ParseMapping(pairs []string) (m Mapping, err error) {
	for _, pair := range pairs {
		ours, theirs, ok := strings.Cut(pair, "=")
		c := columnOf(ours)
		if !ok || c < 0 || theirs == "" {
			return m, fmt.Errorf("%w: %q: want item=NAME, user=NAME, liked=NAME or liked_at=NAME, with commas between", ErrMapping, pair)
		}
		m[c] = theirs
	}
	return m, nil
}

func columnOf(name string) int {
	for c, names := range known {
		if names[0] == name {
			return c
		}
	}
	return -1
}

// numbered reports whether columns have numbers instead of names, and which: from 0, -1
// for those that are not there.
func (m Mapping) numbered() (at [columns]int, is bool, err error) {
	for c, theirs := range m {
		at[c] = -1
		if n, err := strconv.Atoi(theirs); err == nil && n > 0 {
			at[c], is = n-1, true
		} else if theirs != "" && is {
			return at, true, fmt.Errorf("%w: either all have numbers, or all have names", ErrMapping)
		}
	}
	if is && (at[colItem] < 0 || at[colUser] < 0) {
		return at, true, fmt.Errorf("%w: item and user need a number", ErrMapping)
	}
	return at, is, nil
}

// named finds columns by their names.
func (m Mapping) named(names []string) (at [columns]int, err error) {
	for c := range at {
		wanted := known[c]
		if m[c] != "" {
			wanted = []string{m[c]}
		}
		at[c] = find(names, wanted)
		if at[c] < 0 && (m[c] != "" || c == colItem || c == colUser) {
			return at, fmt.Errorf("%w: no column %q among %q; say which it is with --columns %s=NAME",
				ErrMapping, wanted[0], names, known[c][0])
		}
	}
	return at, nil
}

func find(names, wanted []string) int {
	for _, w := range wanted {
		for i, name := range names {
			if strings.EqualFold(strings.TrimSpace(name), w) {
				return i
			}
		}
	}
	return -1
}

// record makes a record of its columns, which are "" where there is none.
func record(line int64, fields [columns]string) (r Record, err error) {
	r = Record{Line: line, Item: fields[colItem], User: fields[colUser], Liked: true}
	if err = like.CheckItem(r.Item); err == nil {
		err = like.CheckUser(r.User)
	}
	if err == nil && fields[colLiked] != "" {
		r.Liked, err = parseLiked(fields[colLiked])
	}
	if err == nil && fields[colAt] != "" {
		r.At, err = parseTime(fields[colAt])
	}
	return r, err
}

func parseLiked(s string) (bool, error) {
	switch strings.ToLower(s) {
	case "true", "t", "1", "yes", "y", "up", "like":
		return true, nil
	case "false", "f", "0", "no", "n", "down", "unlike":
		return false, nil
	}
	return false, fmt.Errorf("liked is %q: want true or false", s)
}

// layouts are the ways in which databases write times; without a zone it is UTC.
var layouts = []string{
	time.RFC3339Nano, "2006-01-02 15:04:05.999999999Z07", "2006-01-02 15:04:05.999999999Z07:00",
	"2006-01-02 15:04:05.999999999 Z07:00", "2006-01-02 15:04:05.999999999", "2006-01-02T15:04:05.999999999", time.DateOnly,
}

// parseTime reads a time, or a number of seconds or milliseconds since 1970.
func parseTime(s string) (time.Time, error) {
	if n, err := strconv.ParseFloat(s, 64); err == nil && n >= 0 && n < 1e14 {
		if n < 1e11 {
			n *= 1000
		}
		return time.UnixMilli(int64(n)), nil
	}
	for _, layout := range layouts {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("liked_at is %q: want 2006-01-02T15:04:05Z, or seconds or milliseconds since 1970", s)
}

// WriteRejects writes rejects as NDJSON.
func WriteRejects(out io.Writer, rejects []*Reject) error {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	for _, r := range rejects {
		if err := enc.Encode(r); err != nil {
			return err
		}
	}
	_, err := out.Write(text.Bytes())
	return err
}
