package like

import "time"

// Want is the state that an op asks for.
type Want uint8

// What an op may ask for. Toggle is resolved to a state inside the script; it
// is the only op that must not be repeated blindly.
const (
	NotLiked Want = iota
	Liked
	Toggle
)

// Op says what User wants of Item: a desired state, never an increment.
type Op struct {
	Item, User string
	Want       Want
}

// Result answers one op.
type Result struct {
	Liked   bool    // the state after the op
	Changed bool    // whether this op changed it
	Count   int64   // the item's likes after the op
	Receipt Receipt // names the change; zero unless Changed
	Source  Source  // FromLedger when it took the op instead of Redis; else empty
	Units   Units   // where the user stands, if the op has asked for a unit
	Err     error   // nil, or why this op was not applied (or may not have been: ErrUnknown)
}

// Change is one effective change as the log carries it: of a like, or of a vote, whose
// ref is in User behind a mark, and Liked says that it counts.
type Change struct {
	Item, User string
	Liked      bool
	Weight     int32 // of a vote
	Version    Version
}

// Freeze is a change by an operator of whether an item takes new likes. Version
// orders all of them.
type Freeze struct {
	Item    string
	Frozen  bool
	Version int64
}

// Source tells where a count was read.
type Source string

// Where counts come from.
const (
	FromRedis  Source = "redis"
	FromLedger Source = "ledger"
	FromCache  Source = "cache" // what this process answered last, however long ago
)

// Reading is an item's count as it was at AsOf, and whether the asking user
// likes it.
type Reading struct {
	Item   string
	Count  int64
	Liked  bool // false when nobody asked
	Unsure bool // whether the user likes it can't be told at present
	Source Source
	AsOf   time.Time
}

// Liker is a user who likes an item.
type Liker struct {
	User string
	At   time.Time
}

// LikedItem is an item that a user likes. Version and Item together are its
// place in the user's list, newest first.
type LikedItem struct {
	Item    string
	Version Version
}

// State tells how far an accepted change has got.
type State string

// The states of a receipt. Those from Confirmed on are known of changes that
// participants were to agree to; Compensated is of others, too.
const (
	Accepted     State = "accepted"     // in the log, not yet in the ledger
	Persisted    State = "persisted"    // in the ledger, or replaced there by a newer change
	Confirmed    State = "confirmed"    // all participants have agreed
	Notified     State = "notified"     // and receivers were told
	Exhausted    State = "exhausted"    // and receivers could not be told
	Compensating State = "compensating" // rejected by a participant, and being taken back
	Compensated  State = "compensated"  // rejected by a participant or the ledger, and taken back
	Rejected     State = "rejected"     // refused by the ledger, not undone (a newer change had replaced it)
)

// Progress is how far a change has got. By and Reason tell who rejected it, and
// why, as far as that is known.
type Progress struct {
	State      State
	By, Reason string
}

// Notification is what receivers are told: the changes of one item in one
// window, folded.
type Notification struct {
	Seq       int64     `json:"seq"` // place in the order of `after=`
	ID        string    `json:"id"`  // stable over all attempts
	Item      string    `json:"item"`
	Count     int64     `json:"count"` // the item's likes in the ledger when the window closed
	Delta     int64     `json:"delta"` // net change within the window
	From      time.Time `json:"from"`
	To        time.Time `json:"to"`
	State     string    `json:"state"` // pending, delivered, exhausted or unaddressed (nobody was to be told)
	Attempts  int       `json:"attempts"`
	LastError string    `json:"last_error,omitempty"`
}
