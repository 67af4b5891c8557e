package model_test

import (
	"context"
	"errors"

	"pgregory.net/rapid"

	"plusone/cmd/internal/model"
	"plusone/hotpath/like"
)

// votes asks something of a vote, now and then of both processes one after the other.
func (m *machine) votes() {
	op := like.VoteOp{
		Item: m.genItem(), Ref: rapid.SampledFrom([]string{"u", "r"}).Draw(m.T, "ref"),
		Want:   rapid.SampledFrom([]like.VoteWant{like.CountVote, like.RefundVote, like.CountVote, like.LookAtVote}).Draw(m.T, "want"),
		Weight: rapid.SampledFrom([]int32{5, 5, 5, 70}).Draw(m.T, "weight"),
	}
	if op.Want != like.CountVote {
		op.Weight = 0
	}
	c := m.house().counter
	if rapid.Bool().Draw(m.T, "twin") {
		c = m.house().twin
	}
	m.touched[op.Item] = true
	ctx, cancel := context.WithTimeout(background, patience)
	defer cancel()
	m.votedOn(op, c.Vote(ctx, op))
}

// votedOn compares an answer with the model. Of a vote whose outcome is unknown the
// stores tell whether it was applied.
func (m *machine) votedOn(op like.VoteOp, got like.Voted) {
	m.w.Verify()
	switch {
	case errors.Is(got.Err, like.ErrUnknown):
		m.broken(got.Err)
		applied := m.w.Clone()
		_, _ = applied.Vote(op)
		m.now = nil
		if seen := m.look(); applied.Clone().Match(seen, m.touched) == nil {
			m.w = applied
		}
		return
	case errors.Is(got.Err, like.ErrUnavailable):
		m.broken(got.Err)
		return
	}
	before := m.w.VoteOf(model.Pair{Item: op.Item, User: like.VoteUser(op.Ref)})
	want, err := m.w.Vote(op)
	if !errors.Is(got.Err, err) || err == nil && got.Err != nil {
		m.Fatalf("%+v is answered %v, want %v", op, got.Err, err)
	}
	if err != nil {
		return
	}
	if got.Known != want.Known || got.Counted != want.Counted || got.Weight != want.Weight {
		m.Fatalf("%+v is answered %+v, want %+v", op, got, want)
	}
	if want == before && got.Version != before.Version {
		m.Fatalf("%+v is answered with receipt %s, want %s", op, got.Version, before.Version)
	}
	if op.Want != like.LookAtVote && got.Count != m.w.Count(op.Item) {
		m.Fatalf("%+v is answered %+v, want a count of %d", op, got, m.w.Count(op.Item))
	}
}
