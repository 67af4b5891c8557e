package like

import (
	"fmt"
	"strconv"
	"strings"
)

// A vote adds its weight to an item's count, once for each ref, and takes it away
// again when it is given back. A ref that was given back never counts again, not
// even when it is given back before it comes.
//
//	(none) ──count──► counted ──refund──► refunded
//	   └──────────────refund─────────────────▲
const (
	// MaxWeight is the largest weight of a vote.
	MaxWeight = 1_000_000_000
	// MaxVoted is the most that a vote may bring an item's count to. The scripts
	// read counts of 15 digits, which are exact in Lua; the rest is for likes.
	MaxVoted = 900_000_000_000_000
)

// VoteWant says what is asked of a vote.
type VoteWant uint8

// What may be asked of a vote.
const (
	LookAtVote VoteWant = iota
	CountVote
	RefundVote
)

// VoteOp asks something of the vote Ref of Item. A ref has the alphabet of a user.
type VoteOp struct {
	Item, Ref string
	Want      VoteWant
	Weight    int32 // for CountVote: 1 to MaxWeight
}

// VoteState is what became of a vote.
type VoteState struct {
	Known   bool // there is such a vote
	Counted bool // else it was given back
	Weight  int32
	Version Version // of its last change
}

// Voted answers a VoteOp: repeated, it is the same but for Count, until the vote is
// given back.
type Voted struct {
	VoteState
	Count   int64 // what the item counts; 0 for LookAtVote
	Receipt Receipt
	Err     error
}

// String is how Redis keeps a state: sign and weight, and the log id of the change.
func (s VoteState) String() string {
	if !s.Known {
		return ""
	}
	return sign(s.Counted) + strconv.Itoa(int(s.Weight)) + " " + s.Version.String()
}

func sign(counted bool) string {
	if counted {
		return "+"
	}
	return "-"
}

// ParseVoteState reads what String wrote. The error wraps ErrBadVersion.
func ParseVoteState(s string) (VoteState, error) {
	what, id, _ := strings.Cut(s, " ")
	if what == "" || what[0] != '+' && what[0] != '-' {
		return VoteState{}, fmt.Errorf("%w: %q is no state of a vote", ErrBadVersion, s)
	}
	weight, ok := decimal(what[1:], MaxWeight)
	v, err := ParseVersion(id)
	if !ok || err != nil {
		return VoteState{}, fmt.Errorf("%w: %q is no state of a vote", ErrBadVersion, s)
	}
	return VoteState{Known: true, Counted: what[0] == '+', Weight: int32(weight), Version: v}, nil
}

// Size is how large an item is in the ledger.
type Size struct {
	Likes int64
	Votes int64 // the sum of those that count
	Voted bool  // it had one once
}

// voteMark stands before the ref of a vote where users stand. No id holds it.
const voteMark = "%"

// VoteUser is what stands for a vote where a user does for a like.
func VoteUser(ref string) string { return voteMark + ref }

// Vote is the ref of the vote that a change is about, if it is about one.
func (c *Change) Vote() (ref string, ok bool) { return strings.CutPrefix(c.User, voteMark) }

// State is what the change of a vote makes of it.
func (c *Change) State() VoteState {
	return VoteState{Known: true, Counted: c.Liked, Weight: c.Weight, Version: c.Version}
}

// Adds is what a vote in this state adds to the count.
func (s VoteState) Adds() int64 {
	if s.Known && s.Counted {
		return int64(s.Weight)
	}
	return 0
}
