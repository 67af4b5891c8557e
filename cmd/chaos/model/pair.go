package model

import (
	"fmt"
	"strings"
	"time"
)

// Pair is an item and a user.
type Pair struct{ Item, User string }

// Do is what a client asks for.
type Do int

// The requests. Look reads, the others are ops.
const (
	Look Do = iota
	Like
	Unlike
	Toggle
)

func (d Do) String() string { return [...]string{"look", "like", "unlike", "toggle"}[d] }

// wish is the state that a like or unlike wants.
func (d Do) wish() bool { return d == Like }

// Outcome is what became of a request, as far as its client knows.
type Outcome int

// The outcomes.
const (
	Acked   Outcome = iota // answered with 200
	Refused                // answered, or never sent: nothing was applied
	Unknown                // no answer, or one that says so
)

func (o Outcome) String() string { return [...]string{"acknowledged", "refused", "unknown"}[o] }

// Answer is what a client got for a request.
type Answer struct {
	At      time.Time // when it came, or when the client gave up
	Via     string    // the API that was asked
	Outcome Outcome
	Code    string // of a refusal or an unknown outcome
	Liked   bool
	Changed bool
	Count   int64
	Ledger  bool   // not answered from Redis
	Vague   bool   // a reading that does not tell whether the user likes it
	Calm    bool   // no fault was on from the request to its end
	Receipt string // of a change
}

// behind reports whether an answer may not know the last changes: one that says
// that it knows no more than the count, told some time ago; and the ledger's,
// which answers for what Redis does not hold and then knows all, or for a Redis
// that is away and then may not.
func (a Answer) behind() bool { return a.Vague || a.Ledger && !a.Calm }

// Event is a line of a pair's history.
type Event struct {
	Do Do
	Answer
}

func (e Event) String() string {
	what := e.Outcome.String()
	switch {
	case e.Outcome != Acked:
		what += " (" + e.Code + ")"
	case e.Do == Look:
		what = fmt.Sprintf("liked=%v count=%d", e.Liked, e.Count)
		if e.Vague {
			what = fmt.Sprintf("count=%d", e.Count)
		}
	default:
		what = fmt.Sprintf("%s liked=%v changed=%v count=%d %s", what, e.Liked, e.Changed, e.Count, e.Receipt)
	}
	if e.Ledger {
		what += " from the ledger"
	}
	return fmt.Sprintf("%s %s %s: %s", e.At.UTC().Format("15:04:05.000"), e.Via, e.Do, strings.TrimSpace(what))
}

// keep is how many events a pair remembers.
const keep = 16

// state is what the owner of a pair knows.
type state struct {
	liked bool // as last acknowledged or read
	epoch int  // of the last op without an answer
	open  openness
	wish  bool // of the op without an answer, while open is repeating or repeated

	elsewhere int // epoch+1 of the last op that was not answered from Redis; 0: none

	receipt string // of the last change that was acknowledged
	ackedAt time.Time
	history []Event
}

type openness int

const (
	known     openness = iota
	repeating          // a like or unlike has no answer yet
	repeated           // it has one, but an earlier send may still be on its way
	flipping           // a toggle has no answer: only a reading after a calm tells
)

// mayRead reports whether a reading of liked breaks no promise.
func (s *state) mayRead(liked bool) bool {
	switch s.open {
	case repeating:
		return liked == s.liked || liked == s.wish
	case flipping:
		return true
	}
	return liked == s.liked
}

func (s *state) note(e Event) {
	if len(s.history) == keep {
		copy(s.history, s.history[1:])
		s.history = s.history[:keep-1]
	}
	s.history = append(s.history, e)
}
