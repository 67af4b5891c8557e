package api

import (
	"strconv"
	"time"
	"unicode/utf8"

	"plusone/hotpath/like"
)

// Answers are appended by hand: they are small and flat, and an encoder that
// reflects costs more than the rest of the handler.

// appendString appends s as a JSON string. Bytes that are not UTF-8 become
// U+FFFD, so that an answer is always valid; ids never hold any.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				b = append(append(b, s[start:i]...), "\ufffd"...)
				start = i + 1
			}
			i += n
			continue
		}
		if c < ' ' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			b = append(append(b, s[start:i]...), '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			start = i + 1
		}
		i++
	}
	return append(append(b, s[start:]...), '"')
}

func appendInt(b []byte, n int64) []byte { return strconv.AppendInt(b, n, 10) }

// appendTime appends t, of a year with four digits, as a JSON string: RFC 3339, UTC,
// milliseconds. To read a layout for each costs three times as much.
func appendTime(b []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	b = appendDigits(append(b, '"'), year, 4)
	b = appendDigits(append(b, '-'), int(month), 2)
	b = appendDigits(append(b, '-'), day, 2)
	b = appendDigits(append(b, 'T'), hour, 2)
	b = appendDigits(append(b, ':'), minute, 2)
	b = appendDigits(append(b, ':'), second, 2)
	b = appendDigits(append(b, '.'), t.Nanosecond()/1e6, 3)
	return append(b, 'Z', '"')
}

// appendDigits appends the last width digits of n.
func appendDigits(b []byte, n, width int) []byte {
	b = append(b, "0000"[:width]...)
	for i := len(b) - 1; n > 0 && i >= len(b)-width; i-- {
		b[i] += byte(n % 10)
		n /= 10
	}
	return b
}

// appendReceipt appends what r.String() says, without its allocations.
func appendReceipt(b []byte, r like.Receipt) []byte {
	b = append(b, '"')
	b = appendInt(b, int64(r.Shard))
	b = append(b, '-')
	b = appendInt(b, r.Version.Time().UnixMilli())
	b = append(b, '-')
	b = appendInt(b, int64(r.Version&like.MaxSeq))
	return append(b, '"')
}

// appendPair appends the start of an object about an item and a user.
func appendPair(b []byte, item, user string) []byte {
	b = append(b, `{"item":`...)
	b = appendString(b, item)
	b = append(b, `,"user":`...)
	return appendString(b, user)
}

// appendResult appends the answer to an op that was applied.
func appendResult(b []byte, op like.Op, r *like.Result) []byte {
	b = appendPair(b, op.Item, op.User)
	b = append(b, `,"liked":`...)
	b = strconv.AppendBool(b, r.Liked)
	b = append(b, `,"changed":`...)
	b = strconv.AppendBool(b, r.Changed)
	b = append(b, `,"count":`...)
	b = appendInt(b, r.Count)
	if op.Want == like.Toggle {
		b = append(b, `,"action":`...)
		b = append(b, action(r.Liked)...)
	}
	if r.Changed {
		b = append(b, `,"receipt":`...)
		b = appendReceipt(b, r.Receipt)
	}
	if r.Source == like.FromLedger { // Redis is the rule
		b = append(b, `,"source":"ledger"`...)
	}
	return append(b, '}')
}

func action(liked bool) string {
	if liked {
		return `"like"`
	}
	return `"unlike"`
}

// appendReading appends a reading; asked says that somebody did, so that
// `liked` means something if it is known.
func appendReading(b []byte, r *like.Reading, asked bool) []byte {
	return appendReadingAt(b, r, asked, &moment{})
}

// moment is a time and how it was spelled last: readings of one answer share few.
type moment struct {
	at   time.Time
	text []byte
}

func (m *moment) append(b []byte, t time.Time) []byte {
	if m.text != nil && t == m.at { // other clocks or zones only cost time
		return append(b, m.text...)
	}
	from := len(b)
	b = appendTime(b, t)
	m.at, m.text = t, b[from:]
	return b
}

func appendReadingAt(b []byte, r *like.Reading, asked bool, as *moment) []byte {
	b = append(b, `{"item":`...)
	b = appendString(b, r.Item)
	b = append(b, `,"count":`...)
	b = appendInt(b, r.Count)
	if asked && !r.Unsure {
		b = append(b, `,"liked":`...)
		b = strconv.AppendBool(b, r.Liked)
	}
	b = append(b, `,"as_of":`...)
	b = as.append(b, r.AsOf)
	b = append(b, `,"source":`...)
	b = appendString(b, string(r.Source))
	return append(b, '}')
}
