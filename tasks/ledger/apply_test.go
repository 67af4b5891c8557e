package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"plusone/hotpath/like"
	"plusone/tasks/ledger"
)

// orders returns all permutations of 0 to n-1.
func orders(n int) [][]int {
	if n == 0 {
		return [][]int{{}}
	}
	var all [][]int
	for _, p := range orders(n - 1) {
		for i := range n {
			all = append(all, slices.Insert(slices.Clone(p), i, n-1))
		}
	}
	return all
}

// histories returns what up to six ops on one pair may ask for: everything up to
// four ops, what a script logs (states that alternate) beyond.
func histories(n int) (all [][]bool) {
	for bits := range 1 << n {
		h := make([]bool, n)
		for i := range h {
			h[i] = bits>>i&1 == 1
		}
		if n <= 4 || alternates(h) {
			all = append(all, h)
		}
	}
	return all
}

func alternates(h []bool) bool {
	for i := 1; i < len(h); i++ {
		if h[i] == h[i-1] {
			return false
		}
	}
	return true
}

func TestEveryOrderOfDeliveryEndsAsTheHighestVersionSays(t *testing.T) {
	s := newStore(t)
	for n := 1; n <= 6; n++ {
		// Each order of each history is played on an item of its own; all items
		// get their next delivery in one batch.
		type play struct {
			item    string
			history []bool
			order   []int
		}
		var plays []play
		for h, history := range histories(n) {
			for o, order := range orders(n) {
				plays = append(plays, play{fmt.Sprintf("%d/%d/%d", n, h, o), history, order})
			}
		}
		sums := map[string]int64{}
		for step := range 3 * n { // each twice at once, then all again
			var rows []ledger.Row
			for _, p := range plays {
				op := p.order[step%n]
				if step < 2*n {
					op = p.order[step/2]
				}
				rows = append(rows, row(p.item, "u", p.history[op], like.Version(100+op)))
			}
			for _, d := range s.apply(rows...).Deltas {
				sums[d.Item] += d.Delta
				if d.Count != sums[d.Item] || d.Count < 0 || d.Count > 1 {
					t.Fatalf("%s: delta %+v, sum %d", d.Item, d, sums[d.Item])
				}
			}
		}
		for _, p := range plays {
			want := int64(0)
			if p.history[n-1] {
				want = 1
			}
			if sums[p.item] != want {
				t.Fatalf("%v in order %v: deltas add up to %d, want %d", p.history, p.order, sums[p.item], want)
			}
		}
		if wrong := s.number(`SELECT count(*) FROM likes WHERE version <> $1 AND item_id LIKE $2`,
			99+n, fmt.Sprint(n, "/%")); wrong != 0 {
			t.Fatalf("%d rows are not at the highest version", wrong)
		}
	}
	s.sound()
}

func TestBatchesThatMeetOnTheSameRowsKeepCountsExact(t *testing.T) {
	s := newStore(t)
	const pairs, rounds = 300, 40
	newest := make([]like.Version, pairs)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for shard := range 4 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(shard)))
			for range rounds {
				rows := make([]ledger.Row, 0, pairs)
				mu.Lock()
				for p := range pairs {
					if r.IntN(3) == 0 {
						v := like.Version(1 + r.IntN(1<<30))
						newest[p] = max(newest[p], v)
						rows = append(rows, row(fmt.Sprintf("i%02d", p%20), fmt.Sprintf("u%03d", p), v%2 == 0, v))
					}
				}
				mu.Unlock()
				slices.SortFunc(rows, ledger.Row.Compare)
				b, err := s.Begin(t.Context(), shard)
				if err != nil {
					t.Error(err)
					return
				}
				_, err = b.Apply(t.Context(), rows)
				if err = errors.Join(err, b.Commit(t.Context())); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	s.sound()
	for p, v := range newest {
		if n := s.number(`SELECT version FROM likes WHERE user_id = $1`, fmt.Sprintf("u%03d", p)); like.Version(n) != v {
			t.Fatalf("pair %d is at version %d, the newest was %d", p, n, v)
		}
	}
}

func TestATombstoneHoldsBackAnOlderLike(t *testing.T) {
	s := newStore(t)
	s.apply(row("i", "u", false, 20))
	if a := s.apply(row("i", "u", true, 10)); a.Rows != 0 || len(a.Deltas) != 0 {
		t.Fatalf("an older like was applied: %+v", a)
	}
	if n := s.number(`SELECT count(*) FROM likes WHERE NOT liked AND version = 20`); n != 1 {
		t.Fatal("the tombstone is gone")
	}
	if a := s.apply(row("i", "u", true, 30)); a.Rows != 1 || a.Deltas[0] != (ledger.Delta{Item: "i", Delta: 1, Count: 1}) {
		t.Fatalf("a newer like was not applied: %+v", a)
	}
	s.sound()
}

func TestWeightsAreSummed(t *testing.T) {
	s := newStore(t)
	s.apply(row("i", "u", true, 1), row("i", "v", true, 1))
	s.exec(`UPDATE likes SET weight = 5 WHERE user_id = 'u'`)
	s.exec(`UPDATE item_counts SET count = 6`)
	if a := s.apply(row("i", "u", false, 2)); a.Deltas[0] != (ledger.Delta{Item: "i", Delta: -5, Count: 1}) {
		t.Fatalf("%+v", a)
	}
	s.sound()
}

func TestRefusedRowsLeaveTheTransactionUsable(t *testing.T) {
	s := newStore(t)
	s.exec(`ALTER TABLE likes ADD CHECK (user_id <> 'bad')`)
	for name, bad := range map[string]ledger.Row{
		"a constraint":  row("i", "bad", true, 1),
		"invalid UTF-8": row("i", "\xff", true, 1),
		"a NUL":         row("i\x00", "u", true, 1),
	} {
		s.in(func(ctx context.Context, b *ledger.Batch) {
			_, err := b.Apply(ctx, []ledger.Row{row("a", "before "+name, true, 1)})
			must(t, err)
			if _, err := b.Apply(ctx, []ledger.Row{bad}); !errors.Is(err, ledger.ErrRefused) || errors.Is(err, like.ErrUnavailable) {
				t.Fatalf("%s: %v", name, err)
			}
			_, err = b.Apply(ctx, []ledger.Row{row("a", "then "+name, true, 1)})
			must(t, err)
		})
	}
	if n := s.number(`SELECT count FROM item_counts WHERE item_id = 'a'`); n != 6 {
		t.Fatalf("%d of 6 good rows are there", n)
	}
	s.sound()
}

func TestACountBelowZeroIsRecountedAndNoted(t *testing.T) {
	s := newStore(t)
	s.apply(row("i", "u", true, 1), row("i", "v", true, 1), row("i", "w", true, 1))
	s.exec(`UPDATE item_counts SET count = 0`)
	a := s.apply(row("i", "u", false, 2))
	if a.Deltas[0].Count != 2 {
		t.Fatalf("the count after it is %d, want 2", a.Deltas[0].Count)
	}
	s.sound()
	if n := s.number(`SELECT count(*) FROM repairs WHERE item_id = 'i' AND side = 'ledger' AND before = '-1'
		AND after = '2' AND repaired AND cause = 'count was lower than its rows'`); n != 1 {
		t.Fatal("the repair was not noted")
	}
}

func TestRowsOutOfOrderAreNotApplied(t *testing.T) {
	s := newStore(t)
	s.in(func(ctx context.Context, b *ledger.Batch) {
		for _, rows := range [][]ledger.Row{
			{row("b", "u", true, 1), row("a", "u", true, 1)},
			{row("a", "u", true, 1), row("a", "u", false, 2)},
		} {
			if _, err := b.Apply(ctx, rows); err == nil {
				t.Fatal("rows out of order were applied")
			}
		}
		if a, err := b.Apply(ctx, nil); err != nil || a.Rows != 0 {
			t.Fatal("no rows are no error", a, err)
		}
	})
}

func BenchmarkApply(b *testing.B) {
	s := newStore(b)
	for _, kind := range []string{"new", "changed"} {
		b.Run(kind, func(b *testing.B) {
			const size = 4096
			version, n := like.Version(1), 0
			for b.Loop() {
				rows := make([]ledger.Row, size)
				for i := range rows {
					user := fmt.Sprintf("u%08d", i)
					if kind == "new" {
						user = fmt.Sprintf("%s-%d", user, n)
					}
					rows[i] = row(fmt.Sprintf("item-%s-%04d", kind, i/40), user, n%2 == 0, version)
				}
				version++
				n++
				s.apply(rows...)
			}
			b.ReportMetric(float64(n*size)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
