package api

import (
	"bytes"
	"context"

	"plusone/hotpath/like"
	"plusone/hotpath/ui"
)

// Files are the same for everybody, on pages of every site. An address with a file's
// hash means these bytes for good; the plain address means the file of the version
// that runs, so caches ask again after some minutes.
var (
	forGood    = []byte("public, max-age=31536000, immutable")
	forMinutes = []byte("public, max-age=300, stale-while-revalidate=86400")

	byEncoding  = []byte("Accept-Encoding")
	everyOrigin = []byte("*")
)

// likeButton sends the script of the like button: /v1/like-button.js, or
// /v1/like-button.<hash>.js.
func (s *Server) likeButton(_ context.Context, c *call) error {
	return c.file(ui.LikeButton(), c.arg)
}

// openAPI sends the description of this API.
func (s *Server) openAPI(_ context.Context, c *call) error { return c.file(ui.OpenAPI(), "") }

// docs sends it as a page.
func (s *Server) docs(_ context.Context, c *call) error { return c.file(ui.Docs(), "") }

// file sends a file, or 304. A hash that is not the file's finds nothing: it is that of
// another version, whose bytes are not here.
func (c *call) file(f *ui.Asset, hash string) error {
	switch hash {
	case "":
		c.cache = forMinutes
	case f.Hash:
		c.cache = forGood
	default:
		return like.ErrNotFound
	}
	r := &c.http.Response
	r.Header.Set("Cross-Origin-Resource-Policy", "cross-origin")
	c.tag = append(append(append(c.tagRoom[:0], `W/"`...), f.Hash...), '"')
	if matches(c.http.Request.Header.Peek("If-None-Match"), c.tag) {
		c.http.NotModified()
		return nil
	}
	r.Header.SetContentType(f.Type)
	if c.http.Request.Header.HasAcceptEncoding("gzip") {
		r.Header.Set("Content-Encoding", "gzip")
		r.SetBodyRaw(f.Gzip)
		return nil
	}
	r.SetBodyRaw(f.Body)
	return nil
}

// matchFile finds the route of a file by its name, and the hash that the name holds.
func matchFile(name []byte) (r *route, hash []byte) {
	const before, after = "like-button.", "js"
	rest, ok := bytes.CutPrefix(name, []byte(before))
	if !ok {
		return noRoute, nil
	}
	if string(rest) == after {
		return buttonRoute, nil
	}
	if hash, ok = bytes.CutSuffix(rest, []byte("."+after)); ok && len(hash) > 0 {
		return buttonRoute, hash
	}
	return noRoute, nil
}

// matchPage finds the route of a path that belongs to no version of the API.
func matchPage(path []byte) *route {
	switch string(path) {
	case "/openapi.json":
		return openAPIRoute
	case "/docs":
		return docsRoute
	}
	return noRoute
}
