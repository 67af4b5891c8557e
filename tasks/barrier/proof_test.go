package barrier_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"plusone/tasks/barrier"
)

const testMemory = time.Hour

// move is what became of one op of a batch: the call, and the answer that came.
type move struct {
	step    barrier.Step
	op      barrier.Op
	result  barrier.Result
	nothing bool // the batch failed as a whole
}

// play is how the package's comment says that a record moves: what it is after
// step, and the answer.
func play(record string, m move) (string, barrier.Result) {
	if m.step == barrier.Try {
		switch {
		case record == "done":
			return record, barrier.Done
		case record != "":
			return record, barrier.Rejected
		case m.op.Receipt != "":
			return "", barrier.Retry
		case m.op.Item == no:
			return "rejected", barrier.Rejected
		}
		return "done", barrier.Done
	}
	switch {
	case record == "":
		return "blocked", barrier.Done
	case record != "done":
		return record, barrier.Done
	case m.op.Receipt != "":
		return record, barrier.Retry
	}
	return "undone", barrier.Done
}

// outcomes are the records that a saga can have after moves that ran at once and
// were answered as they were, in whatever order that explains the answers.
func outcomes(record string, moves []move) map[string]bool {
	if len(moves) == 0 {
		return map[string]bool{record: true}
	}
	all := map[string]bool{}
	for i, m := range moves {
		next, result := play(record, m)
		switch {
		case m.nothing:
			next = record
		case result != m.result:
			continue
		}
		rest := slices.Delete(slices.Clone(moves), i, i+1)
		for r := range outcomes(next, rest) {
			all[r] = true
		}
	}
	return all
}

// effects is what the work has done for a saga with this record.
var effects = map[string][]string{"done": {"try"}, "undone": {"try", "compensate"}}

// TestEveryOrderOfStepsLeavesAWholeEffectOrNone: tries, compensations, repeats and
// failures of a few sagas, in every order, in batches that run at once. Whatever is
// answered has an order of calls that explains it, and the journal tells of each
// saga what that order has done, no step twice.
func TestEveryOrderOfStepsLeavesAWholeEffectOrNone(t *testing.T) {
	checks := "150"
	if os.Getenv("PLUSONE_TEST_LONG") != "" {
		checks = "20000"
	}
	setUnlessGiven(t, "rapid.checks", checks)
	setUnlessGiven(t, "rapid.nofailfile", "true")
	for name, start := range map[string]func(testing.TB) form{
		"postgres": func(t testing.TB) form { f, _ := newPgForm(t); return f },
		"redis":    func(t testing.TB) form { f, _ := newRedisForm(t); return f },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := start(t)
			var played atomic.Int64
			rapid.Check(t, func(rt *rapid.T) { run(rt, t, f, int(played.Add(1))) })
		})
	}
}

func setUnlessGiven(t *testing.T, name, value string) {
	t.Helper()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == name })
	if !given {
		must(t, flag.Set(name, value))
	}
}

// run plays one game with sagas of its own: rounds of batches that run at once.
func run(rt *rapid.T, t *testing.T, f form, game int) {
	sagas := rapid.IntRange(1, 6).Draw(rt, "sagas")
	items := rapid.SliceOfN(rapid.SampledFrom([]string{"yes", "yes", "yes", no}), sagas, sagas).Draw(rt, "items")
	records := make([]map[string]bool, sagas)
	for i := range records {
		records[i] = map[string]bool{"": true}
	}
	op := func(saga int, receipt string) barrier.Op {
		return barrier.Op{Saga: fmt.Sprintf("sag_%d_%d", game, saga), Item: items[saga], User: "u", Liked: true, Receipt: receipt}
	}
	for range rapid.IntRange(1, 5).Draw(rt, "rounds") {
		batches := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) batch {
			return drawBatch(rt, sagas, op)
		}), 1, 4).Draw(rt, "batches")
		together(rt, f, batches)
		settle(rt, records, batches)
	}
	for saga, possible := range records {
		if got := f.journal(t, op(saga, "").Saga); !explains(possible, got) {
			rt.Fatalf("saga %d: the journal has %v, the answers allow for records %v", saga, got, possible)
		}
	}
}

// batch is one call: its moves, and of which sagas they are.
type batch struct {
	step  barrier.Step
	sagas []int
	moves []move
}

func drawBatch(rt *rapid.T, sagas int, op func(int, string) barrier.Op) batch {
	all := make([]int, sagas)
	for i := range all {
		all[i] = i
	}
	b := batch{step: rapid.SampledFrom([]barrier.Step{barrier.Try, barrier.Try, barrier.Compensate}).Draw(rt, "step")}
	b.sagas = rapid.Permutation(all).Draw(rt, "order")[:rapid.IntRange(1, sagas).Draw(rt, "ops")]
	for _, saga := range b.sagas {
		receipt := rapid.SampledFrom([]string{"", "", "", "", "", later, fails}).Draw(rt, "receipt")
		b.moves = append(b.moves, move{step: b.step, op: op(saga, receipt)})
	}
	return b
}

// together runs the batches at once and notes the answers.
func together(rt *rapid.T, f form, batches []batch) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var all sync.WaitGroup
	errs := make([]error, len(batches))
	for i, b := range batches {
		all.Go(func() { errs[i] = b.run(ctx, f) })
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		rt.Fatal(err)
	}
}

func (b batch) run(ctx context.Context, f form) error {
	ops := make([]barrier.Op, len(b.moves))
	mayFail := false
	for i, m := range b.moves {
		ops[i], mayFail = m.op, mayFail || m.op.Receipt == fails
	}
	answers, err := f.do(ctx, b.step, ops)
	if err != nil && (!mayFail || !errors.Is(err, errWork)) {
		return err
	}
	for i := range b.moves {
		if err != nil {
			b.moves[i].nothing = true
			continue
		}
		if answers[i].Saga != ops[i].Saga {
			return fmt.Errorf("answer %d is of %s, not %s", i, answers[i].Saga, ops[i].Saga)
		}
		b.moves[i].result = answers[i].Result
	}
	return nil
}

// settle moves each saga's possible records by what its moves of this round were
// answered; it fails when no order of them explains the answers.
func settle(rt *rapid.T, records []map[string]bool, batches []batch) {
	for saga := range records {
		var moves []move
		for _, b := range batches {
			if i := slices.Index(b.sagas, saga); i >= 0 {
				moves = append(moves, b.moves[i])
			}
		}
		after := map[string]bool{}
		for record := range records[saga] {
			for r := range outcomes(record, moves) {
				after[r] = true
			}
		}
		if len(after) == 0 {
			rt.Fatalf("saga %d, records %v: no order explains %+v", saga, records[saga], moves)
		}
		records[saga] = after
	}
}

func explains(possible map[string]bool, journal []string) bool {
	for record := range possible {
		if slices.Equal(effects[record], journal) {
			return true
		}
	}
	return false
}
