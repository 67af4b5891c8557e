package api

import (
	"fmt"
	"sync"

	"github.com/valyala/fasthttp"
	"go.opentelemetry.io/otel/trace"

	"plusone/hotpath/like"
)

// A call is one request on its way through the server. It lives as long as its
// handler, as everything of http does, and is used again for other requests: what
// is handed on of it are strings of their own, and what it has room for.
type call struct {
	http  *fasthttp.RequestCtx
	id    []byte // of the request
	route *route
	who   caller
	arg   string     // the unescaped subject of the route
	query []byte     // still escaped
	span  trace.Span // nil: traces are off

	// Room for what nearly every request needs; the stores keep none of it.
	item1   [1]string
	op1     [1]like.Op
	result1 [1]like.Result
	newID   [32]byte
	body    [answerSize]byte
	tagRoom [24]byte

	// Who may keep the answer, and what it is known by.
	cache, tag []byte

	// Where the client stands, for the fields RateLimit and RateLimit-Policy.
	allowed, policies []byte
}

var calls = sync.Pool{New: func() any { return new(call) }}

func newCall(http *fasthttp.RequestCtx) *call {
	c := calls.Get().(*call)
	c.http, c.route, c.cache = http, noRoute, forNobody
	return c
}

// release hands the call on; nothing of it may be used any more.
func (c *call) release() {
	c.http, c.id, c.route, c.who, c.arg, c.query, c.tag = nil, nil, nil, caller{}, "", nil, nil
	c.span = nil
	c.allowed, c.policies = c.allowed[:0], c.policies[:0]
	c.item1, c.op1, c.result1 = [1]string{}, [1]like.Op{}, [1]like.Result{}
	calls.Put(c)
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

// answerSize is the room for a small answer.
const answerSize = 768
