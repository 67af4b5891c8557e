package model_test

import (
	"slices"

	"plusone/cmd/internal/model"
	"plusone/hotpath/counter"
	"plusone/tasks/ledger"
)

// deliver applies one entry out of its turn, without moving the watermark.
func (r *rig) deliver(e model.Entry, shard int) error {
	if len(e.Changes) == 0 {
		return nil
	}
	last, votes := map[model.Pair]ledger.Row{}, []ledger.VoteRow{}
	for _, ch := range e.Changes {
		if ref, vote := ch.Vote(); vote { // which is alone in its entry
			ch.Version = e.Version
			votes = append(votes, ledger.VoteRow{Item: ch.Item, Ref: ref, State: ch.State(), Bucket: counter.Bucket(ch.Item)})
			continue
		}
		last[model.Pair{Item: ch.Item, User: ch.User}] = ledger.Row{
			Item: ch.Item, User: ch.User, Liked: ch.Liked, Version: e.Version, Bucket: counter.Bucket(ch.Item),
		}
	}
	var rows []ledger.Row
	for _, row := range last {
		rows = append(rows, row)
	}
	slices.SortFunc(rows, ledger.Row.Compare)
	b, err := r.ledger.Begin(background, shard)
	if err != nil {
		return err
	}
	defer b.Rollback(background)
	if _, err := b.Apply(background, rows); err != nil {
		return err
	}
	if _, err := b.ApplyVotes(background, votes); err != nil {
		return err
	}
	return b.Commit(background)
}
