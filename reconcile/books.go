package reconcile

import (
	"context"
	"fmt"
	"strconv"

	"plusone/hotpath/counter"
	"plusone/tasks/ledger"
)

// books compares the ledger's counts with its own rows. It needs neither Redis
// nor a pin: one statement sees both at the same moment.
func (p *pass) books(ctx context.Context) error {
	after := ""
	for {
		var items []string
		err := p.step(ctx, func(ctx context.Context) (err error) {
			if items, err = p.ledger.Items(ctx, after, bookItems); err != nil || len(items) == 0 {
				return err
			}
			return p.bookPage(ctx, items)
		})
		if err == nil {
			err = p.pay(ctx)
		}
		if err != nil || len(items) == 0 {
			return err
		}
		after = items[len(items)-1]
	}
}

func (p *pass) bookPage(ctx context.Context, items []string) error {
	wrong, err := p.ledger.CheckCounts(ctx, items)
	if err != nil {
		return err
	}
	for _, w := range wrong {
		before, after := w.Books, w.Rows
		if !p.dry {
			before, after, err = p.ledger.Recount(ctx, w.Item, counter.Bucket(w.Item))
			if err != nil {
				return err
			}
			if before == after { // somebody was faster
				continue
			}
		}
		p.found(Drift{
			Shard: books, Item: w.Item, Side: InLedger, Cause: CauseLedgerCount, Repaired: !p.dry,
			Before: booked(before), After: booked(after),
		})
	}
	p.report.Items += int64(len(items))
	p.owed += len(items)
	return nil
}

// booked spells a count and, where there are any, its votes.
func booked(s ledger.Sums) string {
	if s.Votes == 0 {
		return strconv.FormatInt(s.Count, 10)
	}
	return fmt.Sprintf("%d, %d of them votes", s.Count, s.Votes)
}
