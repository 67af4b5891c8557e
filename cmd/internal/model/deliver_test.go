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
	last := map[model.Pair]ledger.Row{}
	for _, ch := range e.Changes {
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
	return b.Commit(background)
}
