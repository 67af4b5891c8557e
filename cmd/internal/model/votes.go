package model

import (
	"strings"

	"plusone/hotpath/like"
)

func isVote(p Pair) bool { return strings.HasPrefix(p.User, like.VoteUser("")) }

// VoteOf is what became of a vote: as the log says that the ledger lacks, else the
// ledger. Its version is 0 while only Redis knows it.
func (w *World) VoteOf(p Pair) like.VoteState {
	l, s := w.LogOf(p.Item), like.VoteState{}
	if row, has := w.Rows[p]; has {
		s = like.VoteState{Known: true, Counted: row.Liked, Weight: row.Weight, Version: row.Version}
	}
	take := func(changes []like.Change, v like.Version) {
		for _, ch := range changes {
			if ch.Item == p.Item && ch.User == p.User {
				s = like.VoteState{Known: true, Counted: ch.Liked, Weight: ch.Weight, Version: v}
			}
		}
	}
	for _, e := range l.Pending() {
		take(e.Changes, e.Version)
	}
	take(l.Fresh, 0)
	return s
}

// Votes is the sum of an item's votes.
func (w *World) Votes(item string) (sum int64) {
	pairs := map[Pair]bool{}
	for p := range w.Rows {
		pairs[p] = isVote(p)
	}
	l := w.LogOf(item)
	for _, e := range append(l.Pending(), Entry{Changes: l.Fresh}) {
		for _, ch := range e.Changes {
			p := Pair{Item: ch.Item, User: ch.User}
			pairs[p] = isVote(p)
		}
	}
	for p, vote := range pairs {
		if vote && p.Item == item {
			sum += w.VoteOf(p).Adds()
		}
	}
	return sum
}

// Vote applies an op on a vote and tells what became of the vote, or why it is
// refused.
func (w *World) Vote(op like.VoteOp) (like.VoteState, error) {
	w.Open(w.Shard(op.Item))
	p := Pair{Item: op.Item, User: like.VoteUser(op.Ref)}
	was := w.VoteOf(p)
	is := like.VoteState{Known: true, Counted: op.Want == like.CountVote, Weight: op.Weight}
	switch {
	case op.Want == like.LookAtVote && !was.Known:
		return was, like.ErrNotFound
	case op.Want == like.LookAtVote:
		return was, nil
	case was.Known && op.Want == like.CountVote && was.Weight != op.Weight && was.Weight != 0:
		return was, like.ErrVoteConflict
	case !was.Known && op.Want == like.CountVote && w.Frozen[op.Item]:
		return was, like.ErrFrozen
	}
	w.Touch(op.Item)
	switch {
	case was.Known && (op.Want == like.CountVote || !was.Counted):
		return was, nil
	case op.Want == like.RefundVote:
		is.Weight = was.Weight
	}
	l := w.LogOf(op.Item)
	l.Fresh = append(l.Fresh, like.Change{Item: p.Item, User: p.User, Liked: is.Counted, Weight: is.Weight})
	return is, nil
}
