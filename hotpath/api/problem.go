package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"plusone/hotpath/like"
)

// What this package refuses by itself; the text around them is for the client.
var (
	errBadPath       = errors.New("malformed request target")
	errBadQuery      = errors.New("malformed query")
	errBadCursor     = errors.New("this cursor does not belong to this list")
	errBadJSON       = errors.New("malformed body")
	errBadRequest    = errors.New("malformed request")
	errNoIdentity    = errors.New("this needs to know who asks")
	errBadIdentity   = errors.New("these credentials are not valid")
	errForbidden     = errors.New("not allowed")
	errCrossSite     = errors.New("sent by a page of another site")
	errTooNew        = errors.New("this visitor's cookie is less than a second old; ask again in a second")
	errNoRoute       = errors.New("there is nothing at this path")
	errMethod        = errors.New("this path does not know this method")
	errReadTimeout   = errors.New("the request took too long to arrive")
	errTooLarge      = errors.New("the body is too large")
	errMediaType     = errors.New("the body must be application/json")
	errLimited       = errors.New("too many requests")
	errHeaderTooLong = errors.New("the request line and headers are too large")
	errOverloaded    = errors.New("too many requests or connections at once")
	errPanic         = errors.New("a handler panicked")
)

// A row of the table: what an error becomes. The detail is the error's own text
// unless the row has one, which it does where the error speaks of our insides.
type row struct {
	err    error
	status int
	code   string
	detail string
}

// table maps errors to answers; the first row that errors.Is wins. Codes are
// part of the contract, as the names of routes are.
var table = []row{
	{like.ErrBadID, 400, "bad_id", ""},
	{like.ErrBadReceipt, 400, "bad_receipt", ""},
	{errBadPath, 400, "bad_path", ""},
	{errBadQuery, 400, "bad_query", ""},
	{errBadCursor, 400, "bad_cursor", ""},
	{errBadJSON, 400, "bad_json", ""},
	{errBadRequest, 400, "bad_request", ""},
	{errNoIdentity, 401, "no_identity", ""},
	{errBadIdentity, 401, "bad_credentials", ""},
	{errForbidden, 403, "forbidden", ""},
	{errCrossSite, 403, "cross_site", ""},
	{errTooNew, 403, "visitor_too_new", ""},
	{errNoRoute, 404, "no_route", ""},
	{like.ErrNotFound, 404, "not_found", "There is no such thing."},
	{errMethod, 405, "method_not_allowed", ""},
	{errReadTimeout, 408, "request_timeout", ""},
	{like.ErrFrozen, 409, "item_frozen", "This item is frozen: it takes no new likes and votes. Nothing was applied."},
	{like.ErrVoteConflict, 409, "vote_conflict", ""},
	{like.ErrCountLimit, 409, "count_limit", ""},
	{errTooLarge, 413, "body_too_large", ""},
	{errMediaType, 415, "unsupported_media_type", ""},
	{like.ErrRefused, 422, "refused", "Postgres refuses this change; nothing was applied."},
	{errLimited, 429, "rate_limited", ""},
	{like.ErrQuota, 429, "quota_exceeded", ""},
	{errHeaderTooLong, 431, "headers_too_large", ""},
	{errOverloaded, 503, "overloaded", "Too many requests or connections at once; nothing was applied."},
	{like.ErrBusy, 503, "busy", "Too busy to accept this now; nothing was applied."},
	{like.ErrUnavailable, 503, "unavailable", "A store that this needs does not answer; nothing was applied."},
	{
		like.ErrUnknown, 503, "outcome_unknown",
		"No answer came from the store, so the change may or may not have been applied. " +
			"Repeat a like, an unlike or a vote: that is always safe. For a toggle, read the state first.",
	},
	{context.DeadlineExceeded, 503, "timeout", "The stores did not answer in time."},
}

// internal is the row of everything that the table does not know.
var internal = row{nil, 500, "internal", "Something went wrong here; the request id finds it in the log."}

// explain finds the row of an error.
func explain(err error) row {
	for _, r := range table {
		if errors.Is(err, r.err) {
			if r.detail == "" {
				r.detail = err.Error()
			}
			return r
		}
	}
	return internal
}

// opError says which op of a body is refused.
type opError struct {
	index int
	err   error
}

func (e *opError) Error() string { return fmt.Sprintf("op %d: %v", e.index, e.err) }
func (e *opError) Unwrap() error { return e.err }

// appendProblem appends the RFC 9457 document of an error. Its type is
// about:blank, so its title is the status' own phrase; clients switch on code.
func appendProblem(b []byte, r row, err error, id []byte) []byte {
	b = append(b, `{"type":"about:blank","title":`...)
	b = appendString(b, http.StatusText(r.status))
	b = append(b, `,"status":`...)
	b = appendInt(b, int64(r.status))
	b = append(b, `,"detail":`...)
	b = appendString(b, r.detail)
	b = append(b, `,"code":`...)
	b = appendString(b, r.code)
	var op *opError
	if errors.As(err, &op) {
		b = append(b, `,"op":`...)
		b = appendInt(b, int64(op.index))
	}
	b = append(b, `,"request_id":"`...)
	b = append(b, id...)
	return append(b, `"}`...)
}
