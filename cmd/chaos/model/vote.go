package model

import (
	"fmt"
	"slices"
	"time"
)

// VoteDo is what a client asks of a vote.
type VoteDo int

// The requests. Another is a count with another weight, which must be refused.
const (
	LookAtVote VoteDo = iota
	Count
	Refund
	Another
)

func (d VoteDo) String() string {
	return [...]string{"look", "count", "refund", "count with another weight"}[d]
}

// VoteIs is what became of a vote.
type VoteIs struct {
	Known, Counted bool // one that is known and not counted was given back
	Weight         int64
}

// VoteAnswer is what a client got for a request about a vote. Code is conflict or
// not_found for what the API refuses by such a code.
type VoteAnswer struct {
	At      time.Time
	Via     string
	Outcome Outcome
	Code    string
	Is      VoteIs
	Receipt string
}

// Ballot is a vote as its owner knows it. A vote goes one way, from nothing to counted
// to given back, and so does what may have become of it: an op without an answer may
// still be applied at any time, and changes nothing that comes after it.
type Ballot struct {
	Pair    Pair // of the item and the ref
	Weight  int64
	Is      VoteIs // as last answered
	Receipt string // of that
	At      time.Time

	counting, refunding bool // was asked for, and may be applied yet
	history             []string
}

// may tells what the vote may be by now.
func (b *Ballot) may() []VoteIs {
	all := []VoteIs{b.Is}
	if !b.Is.Known && b.counting {
		all = append(all, VoteIs{true, true, b.Weight})
	}
	if b.refunding {
		for _, is := range all {
			all = append(all, is.after(Refund, b.Weight))
		}
	}
	return all
}

// after is what an op makes of it.
func (is VoteIs) after(do VoteDo, weight int64) VoteIs {
	switch {
	case do == Count && !is.Known:
		return VoteIs{true, true, weight}
	case do == Refund:
		return VoteIs{true, false, is.Weight}
	}
	return is
}

// Wants is what the owner has to repeat until it is acknowledged; LookAtVote for
// nothing.
func (b *Ballot) Wants() VoteDo {
	switch {
	case b.refunding && (!b.Is.Known || b.Is.Counted):
		return Refund
	case b.counting && !b.Is.Known:
		return Count
	}
	return LookAtVote
}

// Fits reports whether something may be asked: nobody knows what a count with another
// weight does to a vote that may not be there.
func (b *Ballot) Fits(do VoteDo) bool { return do != Another || b.Is.Known && b.Is.Weight > 0 }

// Sent notes that an op is about to be asked for.
func (b *Ballot) Sent(do VoteDo) {
	b.counting = b.counting || do == Count
	b.refunding = b.refunding || do == Refund
}

// Record enters an answer. It returns the promise that the answer breaks, or nil. Of
// requests at once the answers may be entered in any order.
func (b *Ballot) Record(do VoteDo, a VoteAnswer) *Wrong {
	b.history = append(b.history, fmt.Sprintf("%s %s %s: %s %s %+v %s",
		a.At.UTC().Format("15:04:05.000"), a.Via, do, a.Outcome, a.Code, a.Is, a.Receipt))
	what := b.breaks(do, a)
	if a.Outcome == Acked {
		b.Is, b.Receipt, b.At = a.Is, a.Receipt, a.At
	}
	if what == "" {
		return nil
	}
	return &Wrong{At: a.At, Kind: KindWrong, Pair: b.Pair, What: what, History: b.history}
}

func (b *Ballot) breaks(do VoteDo, a VoteAnswer) string {
	switch {
	case a.Outcome == Refused && a.Code == "vote_conflict" && do != Another:
		return "its own weight is called another one"
	case a.Outcome == Refused && a.Code == "not_found" && !slices.Contains(b.may(), VoteIs{}):
		return fmt.Sprintf("there is no such vote, it was %+v", b.Is)
	case a.Outcome != Acked:
		return ""
	case do == Another:
		return "another weight is accepted"
	}
	ok := false
	for _, is := range b.may() {
		ok = ok || is.after(do, b.Weight) == a.Is
	}
	switch {
	case !ok:
		return fmt.Sprintf("%s is answered %+v, it was %+v", do, a.Is, b.Is)
	case a.Is == b.Is && a.Receipt != b.Receipt:
		return fmt.Sprintf("%s is answered with receipt %s, it was %s", do, a.Receipt, b.Receipt)
	}
	return ""
}

// VoteRow is a row of the ledger.
type VoteRow struct {
	VoteIs
	Version int64
}

// VerifyVotes compares what all owners know with the ledger's rows, and the items'
// counts on both sides with the sums of their votes. Ballots must be settled.
func VerifyVotes(ballots []*Ballot, rows map[Pair]VoteRow, stored Stored, version func(receipt string) (int64, error)) (found []Wrong) {
	known, sums := map[Pair]bool{}, map[string]int64{}
	add := func(k Kind, p Pair, b *Ballot, format string, args ...any) {
		w := Wrong{Kind: k, Pair: p, What: fmt.Sprintf(format, args...)}
		if b != nil {
			w.At, w.History = b.At, b.history
		}
		found = append(found, w)
	}
	for _, b := range ballots {
		known[b.Pair] = true
		row := rows[b.Pair]
		if ver, err := version(b.Receipt); row.VoteIs != b.Is || b.Is.Known && (err != nil || row.Version < ver) {
			add(KindLost, b.Pair, b, "acknowledged %+v by receipt %s, the ledger has %+v", b.Is, b.Receipt, row)
		}
		if sums[b.Pair.Item] += 0; b.Is.Counted {
			sums[b.Pair.Item] += b.Is.Weight
		}
	}
	for p, row := range rows {
		if !known[p] && row.Counted {
			add(KindWrong, p, nil, "the ledger has a vote that nobody made")
		}
	}
	for item, sum := range sums {
		if n := stored.LedgerCounts[item]; n != sum {
			add(KindWrong, Pair{Item: item}, nil, "the ledger counts %d, its votes are %d", n, sum)
		}
		if r, ok := stored.Resident[item]; ok && r.Count != fmt.Sprint(sum) {
			add(KindWrong, Pair{Item: item}, nil, "Redis counts %s, its votes are %d", r.Count, sum)
		}
	}
	return found
}
