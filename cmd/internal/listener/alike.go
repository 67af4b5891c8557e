package listener

import (
	"bytes"
	"net/http"
	"regexp"
	"strings"

	"plusone/cmd/internal/console"
)

// alike gives the pages of asynq's dashboard what they can take over of the console's
// look, and a way back to it, and takes out what they would load from elsewhere. Its
// data and scripts pass as they are.
func alike(dashboard http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Accept"), "text/html") {
			dashboard.ServeHTTP(w, r)
			return
		}
		held := &heldPage{ResponseWriter: w, status: http.StatusOK}
		dashboard.ServeHTTP(held, r)
		text := held.body.Bytes()
		if bytes.HasPrefix(text, []byte("<!doctype html>")) { // it leaves the type to be guessed
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			text = restyle(text)
			w.Header().Del("Content-Length")
		}
		w.WriteHeader(held.status)
		_, _ = w.Write(text) // a client that has gone
	})
}

// heldPage keeps a page back until it is whole.
type heldPage struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

// WriteHeader implements http.ResponseWriter.
func (h *heldPage) WriteHeader(status int) { h.status = status }

// Write implements http.ResponseWriter.
func (h *heldPage) Write(b []byte) (int, error) { return h.body.Write(b) }

// elsewhere are links to other hosts, and one that browsers follow without the cookie.
var elsewhere = regexp.MustCompile(`<link rel="(?:stylesheet" href="https?:|manifest")[^>]*>`)

func restyle(text []byte) []byte {
	text = elsewhere.ReplaceAll(text, nil)
	text = bytes.Replace(text, []byte("</head>"), []byte(`<link rel="stylesheet" href="`+console.Asset("queues.css")+`"></head>`), 1)
	return bytes.Replace(text, []byte("<body>"),
		[]byte(`<body><nav aria-label="Console"><a class="plusone" href="`+console.Root+`"><img src="`+console.Asset("icon.svg")+`" alt=""> plusone</a></nav>`), 1)
}
