// Package ui holds what browsers load: the like button and pages, embedded.
//
// The button is written in button/*.js and kept here as one minified script,
// like-button.js, which works as a module and as a classic script. After a change
// of its source,
//
//	go generate ./hotpath/ui
//
// makes it again; a test fails until that is done. The script has less than 5 kB
// when compressed, depends on nothing, asks nothing of a page's
// Content-Security-Policy but to be loaded and to reach the API, and never shows
// more or less than the API has said, but for what the visitor has just wanted.
//
// openapi.yaml is the HTTP contract. It is served as JSON and as a page, and client/ is
// a client in TypeScript with its types.
package ui

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"crypto/sha512"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"sync"
)

//go:generate go test -run TestTheScriptIsMadeOfItsSource -update .

//go:embed like-button.js
var likeButton []byte

// Asset is a file with what its answers say. Nothing of it may be changed.
type Asset struct {
	Type      string // media type
	Body      []byte
	Gzip      []byte // Body, compressed
	Hash      string // of Body, short enough for a URL
	Integrity string // of Body, for the attribute integrity of a script tag
}

// LikeButton is the script of the like button.
var LikeButton = sync.OnceValue(func() *Asset {
	return newAsset("text/javascript; charset=utf-8", likeButton)
})

func newAsset(media string, body []byte) *Asset {
	short, long := sha256.Sum256(body), sha512.Sum384(body)
	return &Asset{
		Type: media, Body: body, Gzip: compress(body),
		Hash:      hex.EncodeToString(short[:8]),
		Integrity: "sha384-" + base64.StdEncoding.EncodeToString(long[:]),
	}
}

// compress can't fail: it writes to memory, at a level that exists.
func compress(body []byte) []byte {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestCompression)
	_, _ = w.Write(body)
	_ = w.Close()
	return b.Bytes()
}
