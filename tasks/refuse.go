package tasks

import (
	"context"
	"errors"
	"log/slog"

	"plusone/hotpath/like"
	"plusone/tasks/ledger"
)

// apply writes rows. When the ledger refuses them it splits them in halves until
// each bad row stands alone, in the same transaction.
func (b *batch) apply(ctx context.Context, rows []ledger.Row) error {
	return halve(ctx, b, rows, b.Apply, func(ctx context.Context, r ledger.Row, reason error) error {
		return b.refuse(ctx, like.Change{Item: r.Item, User: r.User, Liked: r.Liked, Version: r.Version}, reason)
	})
}

// applyVotes is apply for votes.
func (b *batch) applyVotes(ctx context.Context, votes []ledger.VoteRow) error {
	return halve(ctx, b, votes, b.ApplyVotes, func(ctx context.Context, r ledger.VoteRow, reason error) error {
		return b.refuse(ctx, like.Change{
			Item: r.Item, User: like.VoteUser(r.Ref), Liked: r.State.Counted, Weight: r.State.Weight, Version: r.State.Version,
		}, reason)
	})
}

// halve is what apply and applyVotes share.
func halve[R any](ctx context.Context, b *batch, rows []R,
	apply func(context.Context, []R) (ledger.Applied, error), refuse func(context.Context, R, error) error,
) error {
	applied, err := apply(ctx, rows)
	switch {
	case err == nil:
		b.applied += applied.Rows
		b.deltas = append(b.deltas, applied.Deltas...)
		return nil
	case !errors.Is(err, ledger.ErrRefused):
		return err
	case len(rows) == 1:
		return refuse(ctx, rows[0], err)
	}
	half := len(rows) / 2
	if err := halve(ctx, b, rows[:half], apply, refuse); err != nil {
		return err
	}
	return halve(ctx, b, rows[half:], apply, refuse)
}

// refuse takes a bad row back in Redis and keeps a dead letter for each of the
// pair's changes in this batch. It holds the shard's watermark, so no other
// drain can apply a newer change of the pair meanwhile.
func (b *batch) refuse(ctx context.Context, r like.Change, reason error) error {
	undone, err := b.undo(ctx, r)
	if err != nil {
		return err
	}
	slog.ErrorContext(ctx, "the ledger refuses a change, see table dead_letters", "shard", b.shard, "version", r.Version, "undone", undone)
	for _, e := range b.entries {
		for _, ch := range e.Changes {
			if ch.Item != r.Item || ch.User != r.User {
				continue
			}
			if err := b.DeadLetter(ctx, ch, undone, reason); err != nil {
				return err
			}
			b.letters++
		}
	}
	return nil
}

// undo makes Redis agree with the ledger about the pair, unless it does so
// already: a batch may hold a change and its opposite, or the opposite of a
// change that was refused before.
func (b *batch) undo(ctx context.Context, r like.Change) (bool, error) {
	liked, err := b.liked(ctx, r)
	if err != nil || liked == r.Liked {
		return false, err
	}
	undone, err := b.log.Undo(ctx, b.shard, r)
	if _, vote := r.Vote(); err != nil || !undone || !r.Liked || vote {
		return undone, err
	}
	mark := like.Receipt{Shard: b.shard, Version: r.Version}.String() + " " + r.Item
	return undone, b.log.GiveBack(ctx, r.User, r.Version, mark)
}

// liked is what the ledger has of the pair, or whether the vote counts there.
func (b *batch) liked(ctx context.Context, r like.Change) (bool, error) {
	if ref, vote := r.Vote(); vote {
		state, err := b.Vote(ctx, r.Item, ref)
		return state.Counted, err
	}
	return b.Liked(ctx, r.Item, r.User)
}

// keepUnreadable keeps a dead letter, without ids, for each entry whose text
// could not be read wholly; what was read of it has been applied.
func (b *batch) keepUnreadable(ctx context.Context) error {
	for _, e := range b.entries {
		if e.Bad == nil {
			continue
		}
		slog.ErrorContext(ctx, "a log entry is unreadable", "shard", b.shard, "version", e.Version, "error", e.Bad)
		if err := b.DeadLetter(ctx, like.Change{Version: e.Version}, false, e.Bad); err != nil {
			return err
		}
		b.letters++
	}
	return nil
}
