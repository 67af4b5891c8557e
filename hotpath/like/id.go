package like

import (
	"fmt"
	"unicode"
	"unicode/utf8"
)

// The longest ids, in bytes.
const (
	MaxItem = 200
	MaxUser = 128
)

// CheckItem reports why s cannot name an item; the error wraps ErrBadID.
//
// An item is 1–200 bytes of valid UTF-8 without white space, control characters
// or any of { } " \ < > %, and is neither "." nor "..". White space and control
// characters separate the fields of a log entry, braces are Redis hash tags,
// and the rest has no place in a page's path.
func CheckItem(s string) error { return checkID("item", s, MaxItem) }

// CheckUser reports why s cannot name a user; the error wraps ErrBadID. A user
// is 1–128 bytes of the alphabet of CheckItem.
func CheckUser(s string) error { return checkID("user", s, MaxUser) }

func checkID(what, s string, most int) error {
	switch {
	case s == "":
		return fmt.Errorf("%w: the %s id is empty", ErrBadID, what)
	case len(s) > most:
		return fmt.Errorf("%w: the %s id has %d bytes, at most %d are allowed", ErrBadID, what, len(s), most)
	case s == "." || s == "..":
		return fmt.Errorf("%w: the %s id is a dot segment", ErrBadID, what)
	}
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return checkRunes(what, s)
		}
		if !plain[s[i]] {
			return fmt.Errorf("%w: the %s id holds %q at byte %d", ErrBadID, what, s[i], i)
		}
	}
	return nil
}

// checkRunes is the slow half of checkID, for ids beyond ASCII.
func checkRunes(what, s string) error {
	if !utf8.ValidString(s) {
		return fmt.Errorf("%w: the %s id is not valid UTF-8", ErrBadID, what)
	}
	for i, r := range s {
		if r < utf8.RuneSelf && !plain[r] || unicode.IsSpace(r) || unicode.IsControl(r) {
			return fmt.Errorf("%w: the %s id holds %q at byte %d", ErrBadID, what, r, i)
		}
	}
	return nil
}

// plain tells the ASCII bytes that an id may hold.
var plain = func() (t [utf8.RuneSelf]bool) {
	for c := byte('!'); c < 0x7f; c++ {
		t[c] = true
	}
	for _, c := range []byte(`{}"\<>%`) {
		t[c] = false
	}
	return t
}()
