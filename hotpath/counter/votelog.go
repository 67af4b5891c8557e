package counter

import (
	"context"
	"fmt"
	"strings"

	"plusone/hotpath/like"
)

// undoVote is Undo of a vote. Nothing newer than what Redis knows has happened to it.
func (l *Log) undoVote(ctx context.Context, shard int, ref string, ch like.Change) (bool, error) {
	k, became := &l.keys[shard], ch.State()
	by := became.Adds()
	if !became.Counted {
		by = -int64(became.Weight)
	}
	state, err := unvoteScript.run(ctx, l.rdb, []string{k.meta, k.counts, k.votes, k.refs},
		ch.Item, ref, became.String(), by).Text()
	if err != nil {
		return false, fmt.Errorf("undo a vote in shard %d: %w", shard, unavailable(err))
	}
	return state == "undone", nil
}

// KnownVote is a vote of which Redis knows what became of it.
type KnownVote struct {
	Item, Ref string
	State     like.VoteState // Known is false when it can't be read
	text      string
}

// KnownVotes returns a page of them, each at least once over all pages; a next cursor
// of 0 ends it. It needs no pin.
func (l *Log) KnownVotes(ctx context.Context, shard int, cursor uint64) (votes []KnownVote, next uint64, err error) {
	page, next, err := l.rdb.HScan(ctx, l.keys[shard].refs, cursor, "", 256).Result()
	if err != nil {
		return nil, 0, fmt.Errorf("list the votes of shard %d: %w", shard, unavailable(err))
	}
	for i := 0; i+1 < len(page); i += 2 {
		v := KnownVote{text: page[i+1]}
		v.Item, v.Ref, _ = strings.Cut(page[i], " ")
		v.State, _ = like.ParseVoteState(v.text)
		votes = append(votes, v)
	}
	return votes, next, nil
}

// Revote makes both sides agree on a vote: a ledger that has lost it gets it by the
// log, or Redis forgets it, and will ask. It reports false when something has happened
// to the vote since it was listed. Errors: ErrClosed, like.ErrUnavailable (also while
// writes go elsewhere).
func (l *Log) Revote(ctx context.Context, shard int, v KnownVote, forget bool) (bool, error) {
	what := "append"
	if forget {
		what = "forget"
	}
	err := l.fence.Err(ctx)
	state := ""
	if err == nil {
		k := &l.keys[shard]
		state, err = revoteScript.run(ctx, l.rdb, []string{k.meta, k.log, k.refs}, len(l.keys), what, v.Item, v.Ref, v.text).Text()
		if err != nil {
			err = unavailable(err)
		}
	}
	if state == "closed" {
		err = ErrClosed
	}
	if err != nil {
		return false, fmt.Errorf("mend a vote (%s) in shard %d: %w", what, shard, err)
	}
	return state == "done", nil
}

// Tally is the sum of an item's votes at one moment. What is right the ledger can
// tell, with what the log has in between.
type Tally struct {
	Votes string       // as stored; "" for none
	At    like.Version // the log's last id at that moment
	voted string
}

// Tally reads the sum of an item's votes; nil when the item is cold.
func (p *Pin) Tally(ctx context.Context, item string) (*Tally, error) {
	reply, err := tallyScript.run(ctx, p.l.rdb, []string{p.k.meta, p.k.counts, p.k.log, p.k.votes}, item).StringSlice()
	if err != nil {
		return nil, fmt.Errorf("read the votes of %s: %w", item, unavailable(err))
	}
	if len(reply) != 3 {
		return nil, nil
	}
	at, err := like.ParseVersion(reply[2])
	return &Tally{Votes: reply[0], voted: reply[1], At: at}, err
}

// Retally sets the sum of an item's votes, unless it has moved since the tally or the
// item was loaded anew. Errors: ErrUnpinned.
func (p *Pin) Retally(ctx context.Context, item string, t *Tally, votes string) (Mended, error) {
	reply, err := p.mend(ctx, SetVotes, Pair{Item: item}, votes, t.Votes, t.voted)
	return mendedOf(reply), err
}
