package operator

import (
	"context"
	"errors"

	"plusone/hotpath/counter"
	"plusone/hotpath/like"
	"plusone/tasks/ledger"
)

// lettersMost is how many dead letters are tried in one turn.
const lettersMost = 100

// letters makes changes again that the ledger has refused, as if what Redis has now
// were taken back: only while nothing newer has happened to the pair.
func (o *Operator) letters(ctx context.Context) error {
	if o.log.Writable(ctx) != nil {
		return nil //nolint:nilerr // they wait
	}
	due, err := o.ledger.DueLetters(ctx, lettersMost, leaseTime)
	if err != nil {
		return err
	}
	for _, d := range due {
		err = errors.Join(err, within(ctx, func(ctx context.Context) error { return o.letter(ctx, d) }))
	}
	return err
}

func (o *Operator) letter(ctx context.Context, d ledger.DeadLetter) error {
	shard, load := counter.ShardOf(d.Item, o.log.Shards()), false
	err := o.ledger.RetryLetter(ctx, d, shard, func(ctx context.Context, after like.Version) (string, error) {
		came, err := o.log.Retract(ctx, shard, like.Change{Item: d.Item, User: d.User, Liked: !d.Liked}, after, "")
		load = came == counter.RetractCold || came == counter.RetractClosed || came == counter.RetractUnknown
		if came == counter.RetractDamaged {
			return "what Redis has of the item is damaged", nil
		}
		return "", err
	})
	if load {
		o.load(ctx, []ledger.Revoked{{Item: d.Item, User: d.User}})
	}
	o.ring(shard)
	return err
}
