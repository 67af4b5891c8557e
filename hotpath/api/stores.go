package api

import (
	"context"
	"time"

	"plusone/hotpath/like"
)

// Counter applies and reads likes. It keeps neither the slices nor the context
// that it is given.
type Counter interface {
	// Apply applies ops and fills results, one for each op, Err included. The
	// returned error is for the call as a whole (the context is over, …); then
	// results say nothing and any op may have been applied.
	Apply(ctx context.Context, ops []like.Op, results []like.Result) error
	// Read answers one Reading per item and keeps the order; user "" is nobody.
	Read(ctx context.Context, items []string, user string) ([]like.Reading, error)
	// Vote applies one op on a vote; the result holds its error, too.
	Vote(ctx context.Context, op like.VoteOp) like.Voted
	// Recent tells an item's count at once, if it is known without asking anybody. It
	// keeps nothing of item.
	Recent(item []byte, now time.Time) (like.Reading, bool)
}

// Lists lists who likes what, as the ledger has it.
type Lists interface {
	// Likers lists the users who like item in ascending byte order, those after
	// the user `after` ("" is the start).
	Likers(ctx context.Context, item, after string, limit int) ([]like.Liker, error)
	// LikedBy lists what user likes, newest first, those after the place `after`
	// (the zero value is the start).
	LikedBy(ctx context.Context, user string, after like.LikedItem, limit int) ([]like.LikedItem, error)
}

// Receipts tells how far a change has got.
type Receipts interface {
	// ReceiptState is the state of a change as user ("" is nobody) sees it, or
	// like.ErrNotFound for one that was never given. Who rejected it, and why, is
	// told to its user alone.
	ReceiptState(ctx context.Context, r like.Receipt, user string) (like.Progress, error)
}

// Notifications lists what receivers have been told.
type Notifications interface {
	// Notifications lists closed windows with a Seq above after, ascending.
	Notifications(ctx context.Context, after int64, limit int) ([]like.Notification, error)
}
