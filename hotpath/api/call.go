package api

import (
	"fmt"

	"github.com/valyala/fasthttp"

	"plusone/hotpath/like"
)

// A call is one request on its way through the server. It lives as long as its
// handler, as everything of http does.
type call struct {
	http  *fasthttp.RequestCtx
	id    []byte // of the request
	route *route
	who   caller
	arg   string // the unescaped subject of the route
	query []byte // still escaped
}

// caller is who asks.
type caller struct {
	user string // "" is nobody
	key  string // the name of the server key, or ""
}

// item is the route's item.
func (c *call) item() (string, error) { return c.arg, like.CheckItem(c.arg) }

// user is who acts.
func (c *call) user() (string, error) {
	if c.who.user == "" && c.who.key != "" {
		return "", fmt.Errorf("%w: a server key names the user it acts for in X-User-ID", errNoIdentity)
	}
	if c.who.user == "" {
		return "", errNoIdentity
	}
	return c.who.user, nil
}

// server checks that a server key is shown.
func (c *call) server() error {
	switch {
	case c.who.key != "":
		return nil
	case c.who.user != "":
		return fmt.Errorf("%w: this needs a server key", errForbidden)
	}
	return fmt.Errorf("%w: this needs a server key", errNoIdentity)
}

// answer sends 200 with a document, which is copied.
func (c *call) answer(document []byte) error {
	c.http.Response.Header.SetContentType("application/json")
	c.http.Response.SetBody(document)
	return nil
}

// answerSize is the room that a small answer gets on the stack.
const answerSize = 768
