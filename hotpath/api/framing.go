package api

import (
	"bytes"
	"fmt"

	"github.com/valyala/fasthttp"
)

// checkFraming refuses requests whose end somebody in front of us may have seen
// elsewhere, and headers that it may have read otherwise. The parser passes over
// these: a length beside chunks, the encoding "identity", folded lines, lines that
// end without a carriage return, names with spaces.
func checkFraming(h *fasthttp.RequestHeader) error {
	var length, encoding, identity bool
	for raw := h.RawHeaders(); len(raw) > 0; {
		end := bytes.IndexByte(raw, '\n')
		if end < 1 || raw[end-1] != '\r' {
			return fmt.Errorf("%w: a header line does not end with CR LF", errBadRequest)
		}
		line := raw[:end-1]
		raw = raw[end+1:]
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		if bytes.IndexByte(name, ' ') >= 0 || bytes.IndexByte(name, '\t') >= 0 {
			return fmt.Errorf("%w: a header line begins with white space, or a header's name holds some", errBadRequest)
		}
		length = length || is(name, "content-length")
		if is(name, "transfer-encoding") {
			encoding = true
			identity = !bytes.EqualFold(bytes.TrimSpace(value), []byte("chunked")) // the only other one that gets here
		}
	}
	if encoding && (length || identity) {
		return fmt.Errorf("%w: its length is ambiguous", errBadRequest)
	}
	return nil
}

// is compares a header's name with one in lower case.
func is(name []byte, lower string) bool {
	return len(name) == len(lower) && name[0]|0x20 == lower[0] && bytes.EqualFold(name, []byte(lower))
}
