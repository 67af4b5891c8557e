package api

import (
	"bytes"
	"context"
	"fmt"
)

// A route is one path pattern, its methods and what they do. HEAD is GET.
type route struct {
	pattern string // the label in metrics and logs, never a path
	index   int    // its place in routes
	allow   string // for the Allow header
	methods []method
	file    bool // it sends a file: who asks makes no difference
}

type method struct {
	name string
	do   func(*Server, context.Context, *call) error
}

// The routes; what `{…}` stands for is call.arg. See match for how a path finds
// its route.
var (
	noRoute    = &route{pattern: "none"}
	badRequest = &route{pattern: "malformed"}

	besideRoute = &route{pattern: "beside"} // what Options.Beside has answered

	likeRoute = &route{
		pattern: "/v1/items/{item}/like", allow: "PUT, DELETE",
		methods: []method{{"PUT", (*Server).putLike}, {"DELETE", (*Server).deleteLike}},
	}
	toggleRoute = &route{pattern: "/v1/items/{item}/like/toggle", allow: "POST", methods: []method{{"POST", (*Server).toggleLike}}}
	itemRoute   = get("/v1/items/{item}", (*Server).readItem)
	itemsRoute  = get("/v1/items", (*Server).readItems)
	likesRoute  = &route{pattern: "/v1/likes", allow: "POST", methods: []method{{"POST", (*Server).postLikes}}}
	votesRoute  = &route{pattern: "/v1/items/{item}/votes", allow: "POST", methods: []method{{"POST", (*Server).postVote}}}
	voteRoute   = &route{
		pattern: "/v1/items/{item}/votes/{ref}", allow: "GET, HEAD, DELETE",
		methods: []method{{"GET", (*Server).readVote}, {"HEAD", (*Server).readVote}, {"DELETE", (*Server).deleteVote}},
	}
	likersRoute        = get("/v1/items/{item}/likers", (*Server).listLikers)
	userLikesRoute     = get("/v1/users/{user}/likes", (*Server).listLikes)
	receiptRoute       = get("/v1/receipts/{receipt}", (*Server).readReceipt)
	notificationsRoute = get("/v1/notifications", (*Server).listNotifications)
	streamRoute        = &route{pattern: "/v1/stream", allow: "GET", methods: []method{{"GET", (*Server).stream}}}
	openAPIRoute       = getFile("/openapi.json", (*Server).openAPI)
	docsRoute          = getFile("/docs", (*Server).docs)
	buttonRoute        = getFile("/v1/like-button.js", (*Server).likeButton)
)

func get(pattern string, do func(*Server, context.Context, *call) error) *route {
	return &route{pattern: pattern, allow: "GET, HEAD", methods: []method{{"GET", do}, {"HEAD", do}}}
}

// getFile is get for what is the same for everybody.
func getFile(pattern string, do func(*Server, context.Context, *call) error) *route {
	r := get(pattern, do)
	r.file = true
	return r
}

// routes are all of them, numbered for the arrays of metrics.
var routes = func() []*route {
	all := []*route{
		noRoute, badRequest, likeRoute, toggleRoute, itemRoute, itemsRoute, likesRoute,
		likersRoute, userLikesRoute, receiptRoute, notificationsRoute, streamRoute, votesRoute, voteRoute,
		buttonRoute, openAPIRoute, docsRoute, besideRoute,
	}
	for i, r := range all {
		r.index = i
	}
	return all
}()

// find is what a method does, or nil.
func (r *route) find(name []byte) func(*Server, context.Context, *call) error {
	for _, m := range r.methods {
		if string(name) == m.name {
			return m.do
		}
	}
	return nil
}

// match finds the route of a raw path and the segment that names its subject,
// still escaped. Only the slashes of the raw path separate: an id's own slash
// arrives as %2F and is not seen here.
func match(path []byte) (r *route, arg []byte) {
	rest, ok := bytes.CutPrefix(path, []byte("/v1/"))
	if !ok {
		return matchPage(path), nil
	}
	collection, rest, deeper := bytes.Cut(rest, []byte("/"))
	arg, tail, more := bytes.Cut(rest, []byte("/"))
	switch string(collection) {
	case "items":
		return matchItem(deeper, arg, tail, more)
	case "users":
		if more && string(tail) == "likes" {
			return userLikesRoute, arg
		}
	case "receipts":
		if deeper && !more {
			return receiptRoute, arg
		}
	case "likes":
		if !deeper {
			return likesRoute, nil
		}
	case "notifications":
		if !deeper {
			return notificationsRoute, nil
		}
	case "stream":
		if !deeper {
			return streamRoute, nil
		}
	default:
		if !deeper {
			return matchFile(collection)
		}
	}
	return noRoute, nil
}

func matchItem(deeper bool, arg, tail []byte, more bool) (*route, []byte) {
	switch {
	case !deeper:
		return itemsRoute, nil
	case !more:
		return itemRoute, arg
	}
	switch string(tail) {
	case "like":
		return likeRoute, arg
	case "like/toggle":
		return toggleRoute, arg
	case "likers":
		return likersRoute, arg
	case "votes":
		return votesRoute, arg
	}
	if ref, ok := bytes.CutPrefix(tail, []byte("votes/")); ok && bytes.IndexByte(ref, '/') < 0 {
		return voteRoute, arg
	}
	return noRoute, nil
}

// split parts a request target as it came over the wire into path and query,
// both still escaped. The absolute form of RFC 9112 loses its authority.
func split(target []byte) (path, query []byte, err error) {
	if bytes.IndexByte(target, '#') >= 0 {
		return nil, nil, fmt.Errorf("%w: a fragment has no place in it", errBadPath)
	}
	path, query, _ = bytes.Cut(target, []byte("?"))
	if len(path) > 0 && path[0] == '/' {
		return path, query, nil
	}
	if _, after, ok := bytes.Cut(path, []byte("://")); ok {
		if i := bytes.IndexByte(after, '/'); i >= 0 {
			return after[i:], query, nil
		}
	}
	return []byte("/"), query, nil
}

// unescape undoes percent-escapes exactly once and copies. In a query, plus
// asks for '+' to mean a space.
func unescape(raw []byte, plus bool) (string, error) {
	if bytes.IndexByte(raw, '%') < 0 && (!plus || bytes.IndexByte(raw, '+') < 0) {
		return string(raw), nil
	}
	b, err := appendUnescaped(make([]byte, 0, len(raw)), raw, plus)
	return string(b), err
}

// appendUnescaped is unescape into b.
func appendUnescaped(b, raw []byte, plus bool) ([]byte, error) {
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case c == '%':
			if i+2 >= len(raw) || unhex[raw[i+1]] < 0 || unhex[raw[i+2]] < 0 {
				return nil, fmt.Errorf("%w: broken percent-escape at byte %d of a segment", errBadPath, i)
			}
			b = append(b, byte(unhex[raw[i+1]]<<4|unhex[raw[i+2]]))
			i += 2
		case c == '+' && plus:
			b = append(b, ' ')
		default:
			b = append(b, c)
		}
	}
	return b, nil
}

// unhex is the value of a hexadecimal digit, -1 for other bytes.
var unhex = func() (t [256]int8) {
	for i := range t {
		t[i] = -1
	}
	for i := range int8(10) {
		t['0'+i] = i
	}
	for i := range int8(6) {
		t['a'+i], t['A'+i] = 10+i, 10+i
	}
	return t
}()
