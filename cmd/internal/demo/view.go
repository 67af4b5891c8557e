package demo

import (
	"context"
	"sync"
	"time"

	"plusone/hotpath/counter"
	"plusone/tasks/ledger"
)

// viewEvery bounds how often the stores are looked at, however many pages are open.
const viewEvery = 200 * time.Millisecond

// view looks at the stores. What one of them does not tell stays as it was told last,
// and the look says which is missing.
type view struct {
	door   door
	logs   *counter.Log
	ledger *ledger.Ledger

	mu   sync.Mutex // held while looking: who comes meanwhile gets the same
	last look
	at   time.Time
}

// look is what both stores say at about the same moment.
type look struct {
	Items    []both   `json:"items"`
	Source   string   `json:"source"` // where the API has its counts from
	LagMS    int64    `json:"lag_ms"` // age of the oldest like that the ledger lacks
	Troubles []string `json:"troubles"`
}

// both is a count on both sides.
type both struct {
	Item   string `json:"item"`
	Redis  int64  `json:"redis"`
	Ledger int64  `json:"ledger"`
}

func (v *view) look(ctx context.Context) look {
	v.mu.Lock()
	defer v.mu.Unlock()
	if time.Since(v.at) < viewEvery {
		return v.last
	}
	next := look{Source: v.last.Source, LagMS: v.last.LagMS, Troubles: []string{}}
	for i, item := range items() {
		next.Items = append(next.Items, both{Item: item})
		if i < len(v.last.Items) {
			next.Items[i] = v.last.Items[i]
		}
	}
	if v.accepted(&next) != nil {
		next.Troubles = append(next.Troubles, "The API does not tell its counts.")
	}
	if v.kept(ctx, &next) != nil {
		next.Troubles = append(next.Troubles, "Postgres does not answer. Likes wait in Redis.")
	}
	if v.lag(ctx, &next) != nil {
		next.Troubles = append(next.Troubles, "How far Postgres is behind is not known.")
	}
	v.last, v.at = next, time.Now()
	return next
}

// accepted asks the API, which answers from Redis as long as that is there.
func (v *view) accepted(l *look) error {
	readings, err := v.door.counts(items())
	if err != nil {
		return err
	}
	for i, r := range readings {
		l.Items[i].Redis, l.Source = r.Count, r.Source
	}
	return nil
}

func (v *view) kept(ctx context.Context, l *look) error {
	readings, err := v.ledger.Counts(ctx, items(), nil)
	if err != nil {
		return err
	}
	for i, r := range readings {
		l.Items[i].Ledger = r.Count
	}
	return nil
}

// lag finds the oldest change above each shard's watermark.
func (v *view) lag(ctx context.Context, l *look) error {
	tails, err := v.logs.Tails(ctx)
	if err != nil {
		return err
	}
	marks, err := v.ledger.Watermarks(ctx)
	if err != nil {
		return err
	}
	l.LagMS = 0
	for shard, tail := range tails {
		if tail.Len == 0 || tail.Last <= marks[shard] {
			continue
		}
		oldest, err := v.logs.Waits(ctx, shard, marks[shard])
		if err != nil {
			return err
		}
		if oldest != 0 {
			l.LagMS = max(l.LagMS, time.Since(oldest.Time()).Milliseconds())
		}
	}
	return nil
}
