package main

import (
	"context"
	"fmt"
	"time"

	"plusone/cmd/chaos/house"
	"plusone/cmd/chaos/load"
	"plusone/cmd/chaos/model"
)

const (
	// expireTime is for what nobody has ended of the quota to be given back.
	expireTime = 20 * time.Second
	// beforeFault is how long before a fault a like may have been acknowledged, and
	// what it has used be unknown to Redis yet.
	beforeFault = 2 * time.Second
)

// greedy names users in every shard, so that somebody's likes reach each of them.
func greedy() (names []func(int) string) {
	for shard := range house.Shards {
		names = append(names, house.UsersOf(shard))
	}
	return names
}

// ended: nothing of the quota stays reserved. Redis looks for it when somebody of the
// shard likes something.
func (p *proof) ended(ctx context.Context) error {
	return p.await(ctx, "no unit of the quota stays reserved", expireTime, func(ctx context.Context) (bool, error) {
		n, err := p.house.Reserved(ctx)
		if err != nil || n == 0 {
			return n == 0, err
		}
		for _, g := range p.load.Greedy() {
			g.Want()
		}
		return false, nil
	})
}

// voted: every vote counts once, and is given back once. Votes are taken out of stored.
func (p *proof) voted(ctx context.Context, stored *model.Stored) ([]model.Wrong, error) {
	rows, err := p.house.Votes(ctx)
	if err != nil {
		return nil, err
	}
	ballots, told := p.load.Ballots()
	wrong := model.VerifyVotes(ballots, rows, stored.Take(load.VotedPrefix), house.Version)
	p.check("each vote counts once, and is given back once", len(wrong) == 0 && told.Refunds > 0,
		"%d refs, %d votes and %d refunds acknowledged, %d times two at once; %d unknown, %d refused, %d wrong",
		len(ballots), told.Votes, told.Refunds, told.Races, told.Unknown, told.Refused, len(wrong))
	return wrong, nil
}

// bounded: nobody likes more than the quota allows, but for likes of which the answer
// was lost, and for those that went to the ledger; and what users have used is what
// they have liked. Likes of greedy users are taken out of stored.
func (p *proof) bounded(ctx context.Context, stored *model.Stored) ([]model.Wrong, error) {
	used, err := p.house.Used(ctx)
	if err != nil {
		return nil, err
	}
	rows, beyond, refused, likes := stored.Take(load.GreedyPrefix).Rows, 0, 0, 0
	wrong := overspent(used)
	for user, t := range p.tally(rows) {
		wrong = append(wrong, t.wrong...)
		if n := used[user]; n < t.sure || n > t.liked {
			wrong = append(wrong, model.Wrong{Kind: model.KindWrong, Pair: model.Pair{User: user}, What: fmt.Sprintf(
				"%d units are used, for %d likes, %d of them without any doubt", n, t.liked, t.sure)})
		}
		likes, beyond, refused = likes+t.liked, beyond+t.liked-used[user], refused+t.refused
	}
	p.check("nobody likes more than the quota allows", len(wrong) == 0 && refused > 0,
		"%d likes each; users who want more have %d, %d were refused, %d not counted: their answers were lost, or Redis was away; %d wrong",
		house.Quota, likes, refused, beyond, len(wrong))
	return wrong, nil
}

// overspent are users who have used more than there is.
func overspent(used map[string]int) (wrong []model.Wrong) {
	for user, n := range used {
		if n > house.Quota {
			wrong = append(wrong, model.Wrong{Kind: model.KindWrong, Pair: model.Pair{User: user}, What: fmt.Sprintf("%d of %d units are used", n, house.Quota)})
		}
	}
	return wrong
}

// tallied is what came of the likes of one greedy user.
type tallied struct {
	liked   int // rows
	sure    int // of these, that must have used a unit
	refused int
	wrong   []model.Wrong
}

// tally compares what greedy users know with the ledger's rows.
func (p *proof) tally(rows map[model.Pair]model.Row) map[string]*tallied {
	users := map[string]*tallied{}
	for _, g := range p.load.Greedy() {
		for _, l := range g.Likes() {
			t := users[l.Pair.User]
			if t == nil {
				t = &tallied{}
				users[l.Pair.User] = t
			}
			t.add(l, rows[l.Pair].Liked, l.Calm && !p.shaky(l.At))
		}
	}
	return users
}

// add takes a like, of which the ledger says whether it is one. calm says that all were
// told of it.
func (t *tallied) add(l *load.GreedyLike, liked, calm bool) {
	if liked {
		t.liked++
	}
	if l.Refused {
		t.refused++
	}
	if l.Liked && calm && !l.Doubt && !l.Ledger {
		t.sure++
	}
	switch {
	case l.Liked && !liked:
		t.wrong = append(t.wrong, model.Wrong{At: l.At, Kind: model.KindLost, Pair: l.Pair, What: "the ledger lacks it"})
	case liked && l.Refused && !l.Doubt:
		t.wrong = append(t.wrong, model.Wrong{At: l.At, Kind: model.KindWrong, Pair: l.Pair, What: "the quota refused it, the ledger has it"})
	}
}

// shaky reports whether a fault began soon after a moment.
func (p *proof) shaky(at time.Time) bool {
	for _, f := range p.result.Faults {
		begin := p.timeline.Start().Add(time.Duration(f.Begin * float64(time.Second)))
		if at.Before(begin) && begin.Sub(at) < beforeFault {
			return true
		}
	}
	return false
}
