package reconcile

import (
	"errors"
	"fmt"
	"time"

	"plusone/tasks/ledger"
)

// Side says where something was wrong.
type Side string

// The sides.
const (
	InCounter Side = "counter"
	InLedger  Side = "ledger"
)

// The causes of drift, as they are reported.
const (
	CauseSetLost     = "the set has lost a like that the ledger has"
	CauseLedgerLost  = "the ledger never had a like that the set has"
	CauseUnlikeLost  = "the set has kept a like whose unlike the ledger has"
	CauseSetCount    = "the count is not the set's cardinality"
	CauseLikeKept    = "the set has kept an unlike whose like the ledger has"
	CausePartCount   = "the count of a partly resident item is not the ledger's"
	CauseVotes       = "the sum of the votes is not the ledger's"
	CauseVoteLost    = "the ledger has lost what became of a vote"
	CauseVoteStale   = "the ledger knows something else of a vote"
	CauseBadID       = "an id that nobody can have given"
	CauseSetBroken   = "the key of the likers is no set"
	CauseLedgerCount = "the ledger's count is not the sum of its rows"
)

// Drift is one finding.
type Drift struct {
	Shard    int    `json:"shard"` // -1: in the ledger's books
	Item     string `json:"item"`
	User     string `json:"user,omitempty"`
	Side     Side   `json:"side"`
	Before   string `json:"before"`
	After    string `json:"after"` // what it is now, or in a dry run what it would be
	Cause    string `json:"cause"`
	Repaired bool   `json:"repaired"`
}

// Skipped is a shard that could not be compared.
type Skipped struct {
	Shard int    `json:"shard"`
	Why   string `json:"why"`
	err   error
}

// Report is what a pass did.
type Report struct {
	Run     string        `json:"run"` // names the pass in the table repairs
	DryRun  bool          `json:"dry_run"`
	Started time.Time     `json:"started"`
	Took    time.Duration `json:"took_ns"`
	Items   int64         `json:"items"` // compared, resident ones and the books'
	Pairs   int64         `json:"pairs"` // compared
	Drifts  []Drift       `json:"drifts"`
	Skipped []Skipped     `json:"skipped"`
}

// err tells of skipped shards, except of those that another reconciler has.
func (r *Report) err() error {
	var all []error
	for _, s := range r.Skipped {
		if !errors.Is(s.err, ErrTaken) {
			all = append(all, fmt.Errorf("shard %d was not compared: %w", s.Shard, s.err))
		}
	}
	return errors.Join(all...)
}

func (d Drift) repair(run string) ledger.Repair {
	return ledger.Repair{
		Run: run, Shard: d.Shard, Item: d.Item, User: d.User, Side: string(d.Side),
		Before: d.Before, After: d.After, Cause: d.Cause, Repaired: d.Repaired,
	}
}
