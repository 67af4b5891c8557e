package api

import (
	"crypto/rand"
	"strconv"
	"sync/atomic"

	"github.com/valyala/fasthttp"
)

// ids makes request ids: a word of the process and a number. They tell requests
// apart and are no secret.
type ids struct {
	process string
	last    atomic.Uint64
}

func newIDs() *ids { return &ids{process: rand.Text()[:8] + "-"} }

// next appends an id.
func (g *ids) next(b []byte) []byte {
	return strconv.AppendUint(append(b, g.process...), g.last.Add(1), 36)
}

// of is the client's own id when it is well-formed, or the next one. It points
// into the request or into room.
func (g *ids) of(h *fasthttp.RequestHeader, room []byte) []byte {
	if id := h.Peek("X-Request-Id"); wellFormedID(id) {
		return id
	}
	return g.next(room)
}

// wellFormedID allows up to 64 of A–Z a–z 0–9 . _ - which need no escaping in
// headers, logs and JSON.
func wellFormedID(id []byte) bool {
	if len(id) == 0 || len(id) > 64 {
		return false
	}
	for _, c := range id {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}
