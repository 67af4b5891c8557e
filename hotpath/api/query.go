package api

import (
	"bytes"
	"fmt"
	"strconv"

	"plusone/hotpath/like"
)

const (
	maxItems     = 100 // of one GET /v1/items
	maxPage      = 1000
	defaultPage  = 100
	longestValue = 2048 // bytes of one query value; the longest cursor is below
)

// each calls f with every key and value of a query, unescaped once by the rules
// of queries. Unknown keys are the caller's to ignore.
func each(query []byte, f func(key, value string) error) error {
	for len(query) > 0 {
		var pair []byte
		pair, query, _ = bytes.Cut(query, []byte("&"))
		if len(pair) == 0 {
			continue
		}
		k, v, _ := bytes.Cut(pair, []byte("="))
		key, err := "id", error(nil) // by far the most frequent, and not copied
		if string(k) != key {
			key, err = unescape(k, true)
		}
		if err != nil {
			return fmt.Errorf("%w: broken percent-escape in a name", errBadQuery)
		}
		value, err := unescape(v, true)
		if err != nil || len(value) > longestValue {
			return fmt.Errorf("%w: the value of %q is broken or too long", errBadQuery, key)
		}
		if err := f(key, value); err != nil {
			return err
		}
	}
	return nil
}

// itemsOf reads the ids of GET /v1/items: order and duplicates are kept.
func itemsOf(query []byte) ([]string, error) {
	ids := make([]string, 0, min(maxItems, bytes.Count(query, []byte("&"))+1))
	err := each(query, func(key, value string) error {
		if key != "id" {
			return nil
		}
		if len(ids) == maxItems {
			return fmt.Errorf("%w: more than %d ids", errBadQuery, maxItems)
		}
		ids = append(ids, value)
		return like.CheckItem(value)
	})
	if err == nil && len(ids) == 0 {
		err = fmt.Errorf("%w: id is missing", errBadQuery)
	}
	return ids, err
}

// A page is what a list's query asks for; each value at most once.
type page struct {
	limit int
	place string // the value of the key that says where to go on; "" is the start
}

// pageOf reads limit and the key that says where to go on.
func pageOf(query []byte, placeKey string) (page, error) {
	p := page{limit: defaultPage}
	seen := map[string]bool{}
	err := each(query, func(key, value string) error {
		if key != "limit" && key != placeKey {
			return nil
		}
		if seen[key] {
			return fmt.Errorf("%w: %s is given twice", errBadQuery, key)
		}
		seen[key] = true
		if key == placeKey {
			p.place = value
			return nil
		}
		n, err := strconv.ParseUint(value, 10, 16)
		if err != nil || n < 1 || n > maxPage {
			return fmt.Errorf("%w: limit must be a number from 1 to %d", errBadQuery, maxPage)
		}
		p.limit = int(n)
		return nil
	})
	return p, err
}
