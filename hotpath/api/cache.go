package api

import (
	"bytes"
	"strconv"

	"github.com/cespare/xxhash/v2"

	"plusone/hotpath/like"
)

// Who may keep an answer, and how long. Private is the rule. Public is what everybody
// is told alike: for a second it is as good as new, and for ten more a cache may
// tell it once again while it asks.
var (
	forNobody    = []byte("private, no-store")
	forEverybody = []byte("public, max-age=1, stale-while-revalidate=10")
)

// share sends a document that everybody is told alike, with a weak ETag, or 304 to who
// has it already. Documents of one address with the same tag differ in as_of and
// source at most. An answer that brings a visitor's cookie is the visitor's alone.
func (s *Server) share(c *call, document, tag []byte) error {
	if s.greets(c) {
		return c.answer(document)
	}
	c.cache, c.tag = forEverybody, tag
	if matches(c.http.Request.Header.Peek("If-None-Match"), tag) {
		c.http.NotModified()
		return nil
	}
	return c.answer(document)
}

// countTag tells counts of one item apart.
func (c *call) countTag(count int64) []byte {
	b := append(c.tagRoom[:0], `W/"`...)
	return append(strconv.AppendInt(b, count, 10), '"')
}

// countsTag tells the counts of several items apart.
func (c *call) countsTag(readings []like.Reading) []byte {
	var h xxhash.Digest
	h.Reset()
	var room [20]byte
	for i := range readings {
		_, _ = h.Write(append(strconv.AppendInt(room[:0], readings[i].Count, 10), ',')) // never fails
	}
	return c.hashTag(h.Sum64())
}

// documentTag tells documents apart.
func (c *call) documentTag(document []byte) []byte { return c.hashTag(xxhash.Sum64(document)) }

func (c *call) hashTag(sum uint64) []byte {
	b := append(c.tagRoom[:0], `W/"`...)
	return append(strconv.AppendUint(b, sum, 36), '"')
}

// matches reports whether an If-None-Match names a tag: a list of them, or *. It
// compares weakly, as RFC 9110 has it for this field.
func matches(list, tag []byte) bool {
	tag = opaque(tag)
	for len(list) > 0 {
		list = bytes.TrimLeft(list, " \t,")
		if len(list) > 0 && list[0] == '*' {
			return true
		}
		rest := bytes.TrimPrefix(list, []byte("W/"))
		if len(rest) == 0 || rest[0] != '"' {
			return false
		}
		end := bytes.IndexByte(rest[1:], '"')
		if end < 0 {
			return false
		}
		if bytes.Equal(rest[:end+2], tag) {
			return true
		}
		list = rest[end+2:]
	}
	return false
}

// opaque is a tag without its mark of weakness.
func opaque(tag []byte) []byte { return bytes.TrimPrefix(tag, []byte("W/")) }
