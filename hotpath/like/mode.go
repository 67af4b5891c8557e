package like

import "time"

// Mode says where all processes write likes.
type Mode struct {
	Direct   bool          // straight to the ledger; otherwise to Redis
	Epoch    int64         // grows with every switch
	Since    time.Time     // of the last switch, by the ledger's clock; zero while it is being made
	Patience time.Duration // for how long Redis must answer before writes go back to it
	Now      time.Time     // the ledger's clock when it was asked
}

// DirectAfter is how long after a switch the first direct write may be made:
// longer than any process may still believe an answer of Redis.
const DirectAfter = 1500 * time.Millisecond

// Beat is what a process tells of itself.
type Beat struct {
	Process, Role string
	RedisOK       bool          // it reaches Redis
	Ahead         time.Duration // Redis' clock minus the ledger's
	AheadKnown    bool
	Seen          Version // the highest version that Redis has given it
}
