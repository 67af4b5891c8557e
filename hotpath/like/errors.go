package like

import "errors"

// What the parts tell each other; api maps each to a status code once.
var (
	// ErrBadID: an item or user id is malformed.
	ErrBadID = errors.New("malformed id")
	// ErrBadVersion: not a log id.
	ErrBadVersion = errors.New("malformed log id")
	// ErrBadReceipt: not a receipt.
	ErrBadReceipt = errors.New("malformed receipt")
	// ErrBusy: a bounded queue or the log is full; nothing was applied.
	ErrBusy = errors.New("too busy to accept this now")
	// ErrUnavailable: a store that this needs does not answer; nothing was applied.
	ErrUnavailable = errors.New("a store is unavailable")
	// ErrUnknown: the op was sent and no answer came, so it may or may not have
	// been applied. Repeating a desired state is safe; a toggle is not.
	ErrUnknown = errors.New("the outcome is unknown")
	// ErrRefused: the ledger refuses this change for good; nothing was applied.
	ErrRefused = errors.New("the ledger refuses this change")
	// ErrFrozen: an operator has frozen the item, and the op would have made it
	// liked; nothing was applied.
	ErrFrozen = errors.New("the item is frozen: it takes no new likes")
	// ErrQuota: the user has made as many likes as are allowed; nothing was applied.
	ErrQuota = errors.New("too many likes")
	// ErrElsewhere: all processes write to the other store at present; nothing was
	// applied.
	ErrElsewhere = errors.New("writes go to the other store at present")
	// ErrVoteConflict: the ref stands for a vote of another weight.
	ErrVoteConflict = errors.New("this ref is a vote of another weight")
	// ErrCountLimit: the item would count more than MaxVoted.
	ErrCountLimit = errors.New("the item can't count any more votes")
	// ErrNotFound: there is no such thing.
	ErrNotFound = errors.New("not found")
)
