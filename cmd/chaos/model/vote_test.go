package model_test

import (
	"testing"

	"plusone/cmd/chaos/model"
)

// paper is a ballot with a hand that asks and answers.
type paper struct {
	*model.Ballot
	t *testing.T
}

func newPaper(t *testing.T) *paper {
	return &paper{&model.Ballot{Pair: model.Pair{Item: "post", User: "pay-1"}, Weight: 5}, t}
}

func (p *paper) told(do model.VoteDo, a model.VoteAnswer, right bool) {
	p.t.Helper()
	p.Sent(do)
	if w := p.Record(do, a); (w == nil) != right {
		p.t.Fatalf("%v is answered %+v: %+v", do, a, w)
	}
}

func voted(counted bool, weight int64, receipt string) model.VoteAnswer {
	return model.VoteAnswer{Outcome: model.Acked, Is: model.VoteIs{Known: true, Counted: counted, Weight: weight}, Receipt: receipt}
}

var (
	noAnswer = model.VoteAnswer{Outcome: model.Unknown, Code: "no_answer"}
	conflict = model.VoteAnswer{Outcome: model.Refused, Code: "vote_conflict"}
	noVote   = model.VoteAnswer{Outcome: model.Refused, Code: "not_found"}
)

func TestWhatAVoteMayBeAnswered(t *testing.T) {
	type line struct {
		do    model.VoteDo
		a     model.VoteAnswer
		right bool
	}
	for name, lines := range map[string][]line{
		"counted, repeated, given back": {
			{model.LookAtVote, noVote, true},
			{model.Count, voted(true, 5, "r1"), true},
			{model.Count, voted(true, 5, "r1"), true},
			{model.Another, conflict, true},
			{model.Refund, voted(false, 5, "r2"), true},
			{model.Count, voted(false, 5, "r2"), true},
		},
		"another receipt":          {{model.Count, voted(true, 5, "r1"), true}, {model.Count, voted(true, 5, "r2"), false}},
		"another weight":           {{model.Count, voted(true, 6, "r1"), false}},
		"another weight accepted":  {{model.Count, voted(true, 5, "r1"), true}, {model.Another, voted(true, 6, "r2"), false}},
		"forgotten":                {{model.Count, voted(true, 5, "r1"), true}, {model.LookAtVote, noVote, false}},
		"its weight is another":    {{model.Count, voted(true, 5, "r1"), true}, {model.Count, conflict, false}},
		"given back unasked":       {{model.Count, voted(true, 5, "r1"), true}, {model.LookAtVote, voted(false, 5, "r2"), false}},
		"counts after its refund":  {{model.Refund, voted(false, 0, "r1"), true}, {model.Count, voted(true, 5, "r2"), false}},
		"a lost count, applied":    {{model.Count, noAnswer, true}, {model.LookAtVote, voted(true, 5, "r1"), true}},
		"a lost count, lost":       {{model.Count, noAnswer, true}, {model.LookAtVote, noVote, true}, {model.Refund, voted(false, 0, "r1"), true}},
		"a lost refund, applied":   {{model.Count, voted(true, 5, "r1"), true}, {model.Refund, noAnswer, true}, {model.Count, voted(false, 5, "r2"), true}},
		"a lost refund, late":      {{model.Count, noAnswer, true}, {model.Refund, noAnswer, true}, {model.LookAtVote, voted(true, 5, "r1"), true}, {model.LookAtVote, voted(false, 5, "r2"), true}},
		"a refund that never was":  {{model.Count, noAnswer, true}, {model.LookAtVote, voted(false, 0, "r1"), false}},
		"a refused count may fail": {{model.Count, model.VoteAnswer{Outcome: model.Refused, Code: "unavailable"}, true}, {model.LookAtVote, noVote, true}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPaper(t)
			for _, l := range lines {
				p.told(l.do, l.a, l.right)
			}
		})
	}
}

func TestAVoteIsRepeatedUntilItIsAcknowledged(t *testing.T) {
	p := newPaper(t)
	for _, step := range []struct {
		do   model.VoteDo
		a    model.VoteAnswer
		want model.VoteDo
	}{
		{model.Count, noAnswer, model.Count},
		{model.Count, voted(true, 5, "r1"), model.LookAtVote},
		{model.Refund, noAnswer, model.Refund},
		{model.Count, voted(true, 5, "r1"), model.Refund},
		{model.Refund, voted(false, 5, "r2"), model.LookAtVote},
	} {
		p.told(step.do, step.a, true)
		if got := p.Wants(); got != step.want {
			t.Fatalf("after %v it wants %v", step.do, got)
		}
	}
}

func TestStoresThatMiscountVotesAreFound(t *testing.T) {
	version := func(r string) (int64, error) { return int64(len(r)), nil }
	yes, no := newPaper(t), &model.Ballot{Pair: model.Pair{Item: "post", User: "pay-2"}, Weight: 7}
	yes.told(model.Count, voted(true, 5, "r1"), true)
	for name, c := range map[string]struct {
		row, stray model.VoteRow
		ledger     int64
		redis      string
		right      bool
	}{
		"all as it should be":  {row: model.VoteRow{VoteIs: yes.Is, Version: 2}, ledger: 5, redis: "5", right: true},
		"not in the ledger":    {ledger: 5, redis: "5"},
		"an older row":         {row: model.VoteRow{VoteIs: yes.Is, Version: 1}, ledger: 5, redis: "5"},
		"counted twice":        {row: model.VoteRow{VoteIs: yes.Is, Version: 2}, ledger: 10, redis: "5"},
		"counted twice before": {row: model.VoteRow{VoteIs: yes.Is, Version: 2}, ledger: 5, redis: "10"},
		"a vote of nobody":     {row: model.VoteRow{VoteIs: yes.Is, Version: 2}, stray: model.VoteRow{VoteIs: yes.Is, Version: 2}, ledger: 5, redis: "5"},
	} {
		stored := model.Stored{LedgerCounts: map[string]int64{"post": c.ledger}, Resident: map[string]model.ResidentItem{"post": {Count: c.redis}}}
		rows := map[model.Pair]model.VoteRow{yes.Pair: c.row, {Item: "post", User: "pay-3"}: c.stray}
		found := model.VerifyVotes([]*model.Ballot{yes.Ballot, no}, rows, stored, version)
		if (len(found) == 0) != c.right {
			t.Errorf("%s: %v", name, found)
		}
	}
}
