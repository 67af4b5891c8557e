package api

import (
	"bytes"
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"plusone/hotpath/like"
)

const maxOps = 1000 // of one POST /v1/likes

// parseOps reads {"ops":[{"item":…,"user":…,"liked":…},…]}, and nothing else:
// no other members, none twice or missing, no other types or spellings, nothing
// behind it. It is stricter than encoding/json, which takes "OPS", the last of
// two members and broken UTF-8. Errors wrap errBadJSON or like.ErrBadID and,
// within an op, are an opError.
func parseOps(body []byte) ([]like.Op, error) {
	p := parser{b: body}
	if err := p.tokens('{'); err != nil {
		return nil, err
	}
	if name, err := p.text(); err != nil || name != "ops" {
		return nil, p.bad(`want {"ops":[…]}`)
	}
	if err := p.tokens(':', '['); err != nil {
		return nil, err
	}
	ops, err := p.ops()
	if err != nil {
		return nil, err
	}
	if err := p.tokens('}'); err != nil {
		return nil, err
	}
	if p.space(); p.i < len(p.b) {
		return nil, p.bad("something follows the document")
	}
	return ops, nil
}

// parser walks over a body; i is the next byte.
type parser struct {
	b []byte
	i int
}

func (p *parser) bad(why string) error {
	return fmt.Errorf("%w: %s at byte %d", errBadJSON, why, p.i)
}

func (p *parser) space() {
	for p.i < len(p.b) && (p.b[p.i] == ' ' || p.b[p.i] == '\n' || p.b[p.i] == '\t' || p.b[p.i] == '\r') {
		p.i++
	}
}

// take passes c, and the space before it, when it is next.
func (p *parser) take(c byte) bool {
	p.space()
	if p.i < len(p.b) && p.b[p.i] == c {
		p.i++
		return true
	}
	return false
}

func (p *parser) tokens(want ...byte) error {
	for _, c := range want {
		if !p.take(c) {
			return p.bad("want " + strconv.QuoteRune(rune(c)))
		}
	}
	return nil
}

// ops reads what follows the array's bracket, to its end.
func (p *parser) ops() ([]like.Op, error) {
	if p.take(']') {
		return nil, p.bad("ops is empty")
	}
	ops := make([]like.Op, 0, min(maxOps, bytes.Count(p.b[p.i:], []byte{'{'})))
	for {
		if len(ops) == maxOps {
			return nil, p.bad(fmt.Sprintf("more than %d ops", maxOps))
		}
		op, err := p.op()
		if err != nil {
			return nil, &opError{len(ops), err}
		}
		ops = append(ops, op)
		if p.take(']') {
			return ops, nil
		}
		if err := p.tokens(','); err != nil {
			return nil, err
		}
	}
}

// op reads one op; its three members may come in any order.
func (p *parser) op() (op like.Op, err error) {
	if err := p.tokens('{'); err != nil {
		return op, err
	}
	var item, user, liked bool
	for n := range 3 {
		if n > 0 {
			if err := p.tokens(','); err != nil {
				return op, err
			}
		}
		name, err := p.text()
		if err != nil {
			return op, err
		}
		if err := p.tokens(':'); err != nil {
			return op, err
		}
		switch {
		case name == "item" && !item:
			item = true
			op.Item, err = p.text()
		case name == "user" && !user:
			user = true
			op.User, err = p.text()
		case name == "liked" && !liked:
			liked = true
			op.Want, err = p.want()
		default:
			err = p.bad("want item, user and liked, each once, not " + strconv.Quote(name))
		}
		if err != nil {
			return op, err
		}
	}
	if err := p.tokens('}'); err != nil {
		return op, err
	}
	if err := like.CheckItem(op.Item); err != nil {
		return op, err
	}
	return op, like.CheckUser(op.User)
}

func (p *parser) want() (like.Want, error) {
	p.space()
	if rest := p.b[p.i:]; bytes.HasPrefix(rest, []byte("true")) {
		p.i += len("true")
		return like.Liked, nil
	} else if bytes.HasPrefix(rest, []byte("false")) {
		p.i += len("false")
		return like.NotLiked, nil
	}
	return 0, p.bad("want true or false")
}

// text reads a string, the only place where a body may leave ASCII.
func (p *parser) text() (string, error) {
	if !p.take('"') {
		return "", p.bad("want a string")
	}
	s, err := p.rest()
	if err == nil && !utf8.ValidString(s) {
		err = p.bad("a string is not UTF-8")
	}
	return s, err
}

// rest reads a string from its first byte to the closing quote.
func (p *parser) rest() (string, error) {
	for start := p.i; p.i < len(p.b); p.i++ {
		switch c := p.b[p.i]; {
		case c == '"':
			p.i++
			return string(p.b[start : p.i-1]), nil
		case c == '\\':
			return p.escaped(append([]byte(nil), p.b[start:p.i]...))
		case c < ' ':
			return "", p.bad("a control character in a string")
		}
	}
	return "", p.bad("a string has no end")
}

// escaped reads the rest of a string from its first backslash on.
func (p *parser) escaped(text []byte) (string, error) {
	for p.i < len(p.b) {
		c := p.b[p.i]
		p.i++
		switch {
		case c == '"':
			return string(text), nil
		case c < ' ':
			return "", p.bad("a control character in a string")
		case c != '\\':
			text = append(text, c)
		default:
			r, ok := p.escape()
			if !ok {
				return "", p.bad("a broken escape")
			}
			text = utf8.AppendRune(text, r)
		}
	}
	return "", p.bad("a string has no end")
}

// escape reads what follows a backslash.
func (p *parser) escape() (rune, bool) {
	if p.i == len(p.b) {
		return 0, false
	}
	c := p.b[p.i]
	p.i++
	if c == 'u' {
		return p.unicode()
	}
	i := bytes.IndexByte([]byte(`"\/bfnrt`), c)
	if i < 0 {
		return 0, false
	}
	return rune("\"\\/\b\f\n\r\t"[i]), true
}

// unicode reads the digits of \u and, for a surrogate, of the second \u that
// must follow; half a pair is no character.
func (p *parser) unicode() (rune, bool) {
	r, ok := p.hex4()
	if !ok || !utf16.IsSurrogate(r) {
		return r, ok
	}
	if !bytes.HasPrefix(p.b[p.i:], []byte(`\u`)) {
		return 0, false
	}
	p.i += 2
	low, ok := p.hex4()
	r = utf16.DecodeRune(r, low)
	return r, ok && r != utf8.RuneError
}

func (p *parser) hex4() (r rune, ok bool) {
	if len(p.b)-p.i < 4 {
		return 0, false
	}
	for _, c := range p.b[p.i : p.i+4] {
		if unhex[c] < 0 {
			return 0, false
		}
		r = r<<4 | rune(unhex[c])
	}
	p.i += 4
	return r, true
}
