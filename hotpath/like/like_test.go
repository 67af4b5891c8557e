package like

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

func TestIdsThatAreRefusedAndIdsThatAreNot(t *testing.T) {
	for _, id := range []string{
		"a", "post-1", "/pages/über/42", "日本語", "a:b@c", "...", "a.b", "~", "!", "🙂", "a/b?c#d&e=f", "|`^'[]()*,;+$",
		strings.Repeat("i", MaxItem),
	} {
		if err := CheckItem(id); err != nil {
			t.Errorf("item %q: %v", id, err)
		}
	}
	for _, id := range []string{
		"", ".", "..", " ", "a b", "a\tb", "a\nb", "a\x00", "\x1f", "\x7f", "{", "a}", `"`, `a\b`, "<", ">", "%", "a%2Fb",
		"a\u00a0b", "a\u2028b", "a\u0085b", "\u3000", "\xff", "a\xc3", "\xed\xa0\x80", strings.Repeat("i", MaxItem+1),
	} {
		if err := CheckItem(id); !errors.Is(err, ErrBadID) {
			t.Errorf("item %q: %v", id, err)
		}
	}
	if CheckUser(strings.Repeat("u", MaxUser)) != nil || CheckUser(strings.Repeat("u", MaxUser+1)) == nil {
		t.Error("a user may have 128 bytes and no more")
	}
}

// What passes the check can stand between the separators of a log entry, in a
// Redis key with a hash tag, and in Postgres' text.
func FuzzAnIdHoldsNothingThatSeparates(f *testing.F) {
	for _, s := range []string{"a", "a b", "ü\u00a0", "\xff", "..", "%2F", "{"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if CheckItem(s) != nil {
			return
		}
		bad := func(r rune) bool {
			return unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune(`{}"\<>%`, r)
		}
		if !utf8.ValidString(s) || strings.ContainsFunc(s, bad) || s == "." || s == ".." || s == "" || len(s) > MaxItem {
			t.Errorf("%q passes", s)
		}
	})
}

func TestVersionsKeepTheOrderOfLogIds(t *testing.T) {
	ids := []string{"0-0", "0-1", "0-1048575", "1-0", "1795246582056-0", "1795246582056-1", "1795246582057-0", "8796093022207-1048575"}
	last := Version(-1)
	for _, id := range ids {
		v, err := ParseVersion(id)
		if err != nil || v.String() != id || v <= last {
			t.Errorf("%s: %d %s %v, after %d", id, v, v, err, last)
		}
		last = v
	}
	if v, _ := ParseVersion("5-1048575"); v.Next().String() != "6-0" {
		t.Errorf("after the last sequence number of a millisecond comes %s", v.Next())
	}
	if v, _ := ParseVersion("1795246582056-7"); !v.Time().Equal(time.UnixMilli(1795246582056)) {
		t.Errorf("time %s", v.Time())
	}
}

func TestMalformedVersionsAndReceiptsAreRefused(t *testing.T) {
	for _, id := range []string{"", "1", "-", "1-", "-1", "a-1", "1-a", "+1-1", "01-1", "1-01", "1-1-1", "1-1048576", "8796093022208-0", "1 -1", "99999999999999999999-1"} {
		if _, err := ParseVersion(id); !errors.Is(err, ErrBadVersion) {
			t.Errorf("version %q: %v", id, err)
		}
	}
	for _, s := range []string{"", "1-2", "1-0-0", "4096-1-1", "-1-1-1", "x-1-1", "01-1-1", "1-1-1-1"} {
		if _, err := ParseReceipt(s); !errors.Is(err, ErrBadReceipt) {
			t.Errorf("receipt %q: %v", s, err)
		}
	}
}

func FuzzAReceiptHasOneSpelling(f *testing.F) {
	f.Add("3-1795246582056-0")
	f.Add("0-0-1")
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseReceipt(s)
		if err == nil && (r.String() != s || r.IsZero()) {
			t.Errorf("%q reads as %v", s, r)
		}
	})
}
