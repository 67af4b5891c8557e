package model_test

import (
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"plusone/hotpath/like"
)

// asked is one call of a history: an op, or a read when Read is set.
type asked struct {
	item, user string // user may be "" in a read
	want       like.Want
	read       bool
}

// told is its answer. One whose outcome is unknown may have been applied, at any
// time from the call on, or never: its call stays open to the end.
type told struct {
	liked, changed bool
	count          int64
	unknown        bool
}

// board is what the histories of one item are judged by: who likes it, a bit for
// each user.
type board uint64

func bit(user string) board { return 1 << slices.Index(crowd, user) }

// crowd are the users of histories.
var crowd = []string{"u0", "u1", "u2", "u3", "u4", "u5"}

// step is the board's rule: every answer is that of one moment between call and
// answer, in which the op was alone.
func step(b board, in asked, out told) (bool, board) {
	if in.read {
		fits := out.count == b.count() && (in.user == "" || out.liked == (b&bit(in.user) != 0))
		return fits, b
	}
	was, will := b&bit(in.user) != 0, in.want == like.Liked
	if in.want == like.Toggle {
		will = !was
	}
	next := b &^ bit(in.user)
	if will {
		next |= bit(in.user)
	}
	if out.unknown {
		return true, next
	}
	return out.liked == will && out.changed == (was != will) && out.count == next.count(), next
}

func (b board) count() (n int64) {
	for ; b != 0; b &= b - 1 {
		n++
	}
	return n
}

// wholeItems is the model of histories on items: sets and counts. A count and
// whether the user likes it are of one moment, unless the user of a partly
// resident item has to be looked up: then apart, only the count is looked at.
func wholeItems(apart bool) porcupine.Model {
	return porcupine.Model{
		Partition: by(func(in asked) string { return in.item }),
		Init:      func() any { return board(0) },
		Step: func(state, input, out any) (bool, any) {
			in := input.(asked)
			if in.read && apart {
				in.user = ""
			}
			return step(state.(board), in, out.(told))
		},
	}
}

// singlePairs is the model of histories on one user and item: a register. Counts
// are not looked at.
var singlePairs = porcupine.Model{
	Partition: by(func(in asked) string { return in.item + " " + in.user }),
	Init:      func() any { return board(0) },
	Step: func(state, in, out any) (bool, any) {
		i, o := in.(asked), out.(told)
		if i.user == "" {
			return true, state
		}
		_, next := step(state.(board), i, told{unknown: true})
		if i.read {
			o.count = state.(board).count()
		} else {
			o.count = next.count()
		}
		return step(state.(board), i, o)
	},
}

func by(name func(asked) string) func([]porcupine.Operation) [][]porcupine.Operation {
	return func(history []porcupine.Operation) (parts [][]porcupine.Operation) {
		at := map[string]int{}
		for _, op := range history {
			n := name(op.Input.(asked))
			if _, there := at[n]; !there {
				at[n] = len(parts)
				parts = append(parts, nil)
			}
			parts[at[n]] = append(parts[at[n]], op)
		}
		return parts
	}
}

// judge fails the test unless the history has an order.
func judge(t *testing.T, what string, m porcupine.Model, history []porcupine.Operation) {
	t.Helper()
	switch porcupine.CheckOperationsTimeout(m, history, time.Minute) {
	case porcupine.Ok:
	case porcupine.Unknown:
		t.Errorf("%s: no order of %d calls was found within a minute", what, len(history))
	case porcupine.Illegal:
		t.Errorf("%s: %d calls have no order", what, len(history))
		for _, part := range m.Partition(history) {
			if porcupine.CheckOperations(porcupine.Model{Init: m.Init, Step: m.Step}, part) {
				continue
			}
			for _, op := range part {
				t.Logf("client %d, %d to %d: %+v → %+v", op.ClientId, op.Call, op.Return, op.Input, op.Output)
			}
		}
	}
}

// result turns an answer into what the history keeps; false leaves it out, since
// it says that nothing was applied.
func result(liked, changed bool, count int64, err error) (told, bool) {
	if errors.Is(err, like.ErrUnknown) {
		return told{unknown: true}, true
	}
	return told{liked: liked, changed: changed, count: count}, err == nil
}

const forever = math.MaxInt64

func TestAHistoryWithAStaleReadIsRefused(t *testing.T) {
	op := func(in asked, call int64, out told, end int64) porcupine.Operation {
		return porcupine.Operation{Input: in, Call: call, Output: out, Return: end}
	}
	liked := op(asked{item: "a", user: "u0", want: like.Liked}, 0, told{liked: true, changed: true, count: 1}, 10)
	read := asked{item: "a", user: "u0", read: true}
	lost := op(asked{item: "a", user: "u1", want: like.Liked}, 0, told{unknown: true}, forever)
	for _, c := range []struct {
		what    string
		history []porcupine.Operation
		ok      bool
	}{
		{"a read after the like", []porcupine.Operation{liked, op(read, 11, told{liked: true, count: 1}, 12)}, true},
		{"a read beside the like", []porcupine.Operation{liked, op(read, 5, told{}, 12)}, true},
		{"a stale read", []porcupine.Operation{liked, op(read, 11, told{}, 12)}, false},
		{"a stale count", []porcupine.Operation{liked, op(read, 11, told{liked: true}, 12)}, false},
		{"an unknown like was applied", []porcupine.Operation{liked, lost, op(read, 11, told{liked: true, count: 2}, 12)}, true},
		{"an unknown like was not applied", []porcupine.Operation{liked, lost, op(read, 11, told{liked: true, count: 1}, 12)}, true},
		{"an unknown like is taken back", []porcupine.Operation{
			liked, lost, op(read, 11, told{liked: true, count: 2}, 12), op(read, 13, told{liked: true, count: 1}, 14),
		}, false},
		{"applied twice", []porcupine.Operation{liked, op(liked.Input.(asked), 11, told{liked: true, changed: true, count: 1}, 12)}, false},
	} {
		t.Run(c.what, func(t *testing.T) {
			if got := porcupine.CheckOperations(wholeItems(false), c.history); got != c.ok {
				t.Errorf("linearizable: %t", got)
			}
		})
	}
}
