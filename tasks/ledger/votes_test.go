package ledger_test

import (
	"context"
	"testing"

	"plusone/hotpath/like"
	"plusone/tasks/ledger"
)

// In whatever order its changes come, a vote adds its weight once and takes the same
// away once.
func TestAVoteTakesAwayWhatItHasAddedWhateverIsSaidMeanwhile(t *testing.T) {
	s := newStore(t)
	for _, c := range []struct {
		state like.VoteState
		count int64
	}{
		{like.VoteState{Counted: true, Weight: 5, Version: 2}, 5},
		{like.VoteState{Counted: false, Weight: 5, Version: 1}, 5}, // comes late
		{like.VoteState{Counted: true, Weight: 5, Version: 2}, 5},
		{like.VoteState{Counted: true, Weight: 4, Version: 3}, 5},
		{like.VoteState{Counted: false, Weight: 4, Version: 4}, 0},
		{like.VoteState{Counted: false, Weight: 4, Version: 5}, 0},
	} {
		s.in(func(ctx context.Context, b *ledger.Batch) {
			_, err := b.ApplyVotes(ctx, []ledger.VoteRow{{Item: "i", Ref: "pay", State: c.state}})
			must(t, err)
		})
		if n := s.number(`SELECT count FROM item_counts WHERE count = votes`); n != c.count {
			t.Errorf("after %+v: %d, want %d", c.state, n, c.count)
		}
	}
}
