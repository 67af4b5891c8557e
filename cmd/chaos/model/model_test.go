package model_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"plusone/cmd/chaos/model"
)

var pair = model.Pair{Item: "own-1", User: "ann"}

// desk is a book with a hand that writes into it.
type desk struct {
	*model.Book
	t     *testing.T
	epoch int
}

func open(t *testing.T) *desk {
	t.Helper()
	return &desk{Book: model.NewBook(func(item string) bool { return strings.HasPrefix(item, "own") }), t: t}
}

// got records an answer that must break no promise.
func (d *desk) got(do model.Do, a model.Answer) {
	d.t.Helper()
	if w := d.Record(pair, do, a, d.epoch); w != nil {
		d.t.Fatalf("%v: %v", do, w)
	}
}

// wrong records an answer that must break a promise.
func (d *desk) wrong(do model.Do, a model.Answer) {
	d.t.Helper()
	w := d.Record(pair, do, a, d.epoch)
	if w == nil {
		d.t.Fatalf("%v %+v breaks no promise", do, a)
	}
	if len(w.History) == 0 {
		d.t.Error("without a history")
	}
}

// may asks what may be done.
func (d *desk) may(wanted, want model.Do, ok bool) {
	d.t.Helper()
	if do, may := d.Next(pair, wanted, d.epoch); do != want && may || may != ok {
		d.t.Fatalf("wanted %v, may %v (%v), want %v (%v)", wanted, do, may, want, ok)
	}
}

func acked(liked, changed bool, count int64) model.Answer {
	a := model.Answer{Outcome: model.Acked, Liked: liked, Changed: changed, Count: count}
	if changed {
		a.Receipt = "0-7-0"
	}
	return a
}

func seen(liked bool, count int64) model.Answer {
	return model.Answer{Outcome: model.Acked, Liked: liked, Count: count}
}

var (
	unknown = model.Answer{Outcome: model.Unknown, Code: "outcome_unknown"}
	refused = model.Answer{Outcome: model.Refused, Code: "unavailable"}
)

func TestTrueAnswersBreakNoPromise(t *testing.T) {
	d := open(t)
	d.got(model.Look, seen(false, 0))
	d.got(model.Like, acked(true, true, 1))
	d.got(model.Like, acked(true, false, 1))
	d.got(model.Look, seen(true, 1))
	d.got(model.Toggle, acked(false, true, 0))
	d.got(model.Unlike, acked(false, false, 0))
	d.got(model.Like, refused)
	d.got(model.Look, seen(false, 0))
}

func TestFalseAnswersBreakAPromise(t *testing.T) {
	for name, after := range map[string]func(*desk){
		"a lost like":             func(d *desk) { d.wrong(model.Look, seen(false, 0)) },
		"an op refused, done":     func(d *desk) { d.got(model.Unlike, refused); d.wrong(model.Look, seen(false, 0)) },
		"a like twice":            func(d *desk) { d.wrong(model.Like, acked(true, true, 2)) },
		"a count too high":        func(d *desk) { d.wrong(model.Like, acked(true, false, 2)) },
		"a count read too low":    func(d *desk) { d.wrong(model.Look, seen(true, 0)) },
		"an unlike without like":  func(d *desk) { d.wrong(model.Unlike, acked(false, false, 0)) },
		"a toggle the wrong way":  func(d *desk) { d.wrong(model.Toggle, acked(true, true, 1)) },
		"a like that is not done": func(d *desk) { d.wrong(model.Like, acked(false, false, 0)) },
	} {
		t.Run(name, func(t *testing.T) {
			d := open(t)
			d.got(model.Like, acked(true, true, 1))
			after(d)
		})
	}
}

func TestAnOpWithoutAnswerIsRepeatedUntilItIsAcknowledgedAndACalmHasPassed(t *testing.T) {
	d := open(t)
	d.got(model.Like, acked(true, true, 1))
	d.got(model.Unlike, unknown)
	d.may(model.Like, model.Unlike, true)
	d.got(model.Look, seen(true, 1)) // not yet
	d.got(model.Look, seen(false, 0))
	d.wrong(model.Look, seen(true, 1)) // what was seen stays

	d = open(t)
	d.got(model.Like, acked(true, true, 1))
	d.got(model.Unlike, unknown)
	d.got(model.Unlike, acked(false, false, 0))
	d.may(model.Like, model.Unlike, true) // the first one may still be on its way
	d.may(model.Toggle, model.Unlike, true)
	d.wrong(model.Look, seen(true, 1))

	d = open(t)
	d.got(model.Like, unknown)
	d.got(model.Like, acked(true, true, 1))
	d.epoch++
	d.may(model.Unlike, model.Unlike, true)
	d.may(model.Toggle, model.Toggle, true)
}

func TestAToggleWithoutAnswerIsLeftAloneUntilACalmTellsWhatItDid(t *testing.T) {
	for _, liked := range []bool{false, true} {
		d := open(t)
		d.got(model.Like, acked(true, true, 1))
		d.got(model.Toggle, unknown)
		d.may(model.Like, model.Like, false)
		if open := d.Unsettled(); len(open) != 1 {
			t.Fatalf("unsettled: %v", open)
		}
		d.epoch++
		d.may(model.Like, model.Look, true)
		n := int64(0)
		if liked {
			n = 1
		}
		d.got(model.Look, seen(liked, n))
		d.wrong(model.Look, seen(!liked, 1-n))
	}
}

func TestAnAnswerFromTheLedgerMayBeBehindDuringAFaultOnly(t *testing.T) {
	d := open(t)
	d.got(model.Like, acked(true, true, 1))
	stale := seen(false, 0)
	stale.Ledger = true
	d.got(model.Look, stale)
	stale.Calm = true // then Redis is there, and has asked the ledger since it is up to date
	d.wrong(model.Look, stale)

	d = open(t)
	d.got(model.Like, acked(true, true, 1))
	d.got(model.Look, model.Answer{Outcome: model.Acked, Vague: true, Calm: true})

	d = open(t)
	d.got(model.Like, acked(true, true, 1))
	d.wrong(model.Look, seen(false, 0))

	d = open(t)
	direct := acked(true, true, 1)
	direct.Ledger = true
	d.got(model.Like, direct)
	d.got(model.Look, seen(false, 0)) // Redis does not know of it yet
	d.epoch++
	d.wrong(model.Look, seen(false, 0))
}

// world is a healthy end: ann likes own-1 and has unliked own-2.
func world(t *testing.T) (*desk, model.Stored) {
	d := open(t)
	d.got(model.Like, acked(true, true, 1))
	other := model.Pair{Item: "own-2", User: "ann"}
	d.Record(other, model.Like, acked(true, true, 1), 0)
	d.Record(other, model.Unlike, acked(false, true, 0), 0)
	return d, model.Stored{
		Rows:         map[model.Pair]model.Row{pair: {Liked: true, Version: 7}, other: {Version: 8}},
		LedgerCounts: map[string]int64{"own-1": 1, "own-2": 0},
		Resident:     map[string]model.ResidentItem{"own-1": {Count: "1", Users: map[string]bool{"ann": true}}, "own-2": {Count: "0"}},
	}
}

func version(receipt string) (int64, error) {
	if receipt != "0-7-0" {
		return 0, errors.New("another receipt")
	}
	return 7, nil
}

func TestAHealthyEndPasses(t *testing.T) {
	d, stored := world(t)
	if found := model.Verify([]*model.Book{d.Book}, stored, version); len(found) != 0 {
		t.Fatalf("found %v", found)
	}
	stored.Resident["own-1"] = model.ResidentItem{Count: "1", Partly: true} // Redis knows nobody
	if found := model.Verify([]*model.Book{d.Book}, stored, version); len(found) != 0 {
		t.Fatalf("found %v", found)
	}
	delete(stored.Resident, "own-1") // cold items are fine
	if found := model.Verify([]*model.Book{d.Book}, stored, version); len(found) != 0 {
		t.Fatalf("found %v", found)
	}
}

func TestTheVerifierMissesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(*model.Stored)
		kind   model.Kind
	}{
		"a like lost in the ledger":   {func(s *model.Stored) { delete(s.Rows, pair) }, model.KindLost},
		"a like undone in the ledger": {func(s *model.Stored) { s.Rows[pair] = model.Row{Version: 9} }, model.KindLost},
		"an older row in the ledger":  {func(s *model.Stored) { s.Rows[pair] = model.Row{Liked: true, Version: 6} }, model.KindLost},
		"a like lost in Redis":        {func(s *model.Stored) { delete(s.Resident["own-1"].Users, "ann") }, model.KindLost},
		"an unlike lost in the ledger": {func(s *model.Stored) {
			s.Rows[model.Pair{Item: "own-2", User: "ann"}] = model.Row{Liked: true, Version: 8}
		}, model.KindLost},
		"an unlike lost in Redis": {func(s *model.Stored) {
			s.Resident["own-2"] = model.ResidentItem{Count: "0", Users: map[string]bool{"ann": true}}
		}, model.KindLost},
		"a like that a partly resident item knows to be none": {func(s *model.Stored) {
			s.Resident["own-1"] = model.ResidentItem{Count: "1", Partly: true, Users: map[string]bool{"ann": false}}
		}, model.KindLost},
		"a like counted twice in the ledger": {func(s *model.Stored) { s.LedgerCounts["own-1"] = 2 }, model.KindWrong},
		"no count in the ledger":             {func(s *model.Stored) { delete(s.LedgerCounts, "own-1") }, model.KindWrong},
		"a like counted twice in Redis": {func(s *model.Stored) {
			s.Resident["own-1"] = model.ResidentItem{Count: "2", Users: map[string]bool{"ann": true}}
		}, model.KindWrong},
		"a like of nobody in the ledger":   {func(s *model.Stored) { s.Rows[model.Pair{Item: "x", User: "y"}] = model.Row{Liked: true} }, model.KindWrong},
		"a like of nobody in Redis":        {func(s *model.Stored) { s.Resident["own-1"].Users["bob"] = true }, model.KindWrong},
		"a count of nothing in the ledger": {func(s *model.Stored) { s.LedgerCounts["x"] = 1 }, model.KindWrong},
	} {
		t.Run(name, func(t *testing.T) {
			d, stored := world(t)
			c.damage(&stored)
			found := model.Verify([]*model.Book{d.Book}, stored, version)
			if len(found) != 1 || found[0].Kind != c.kind {
				t.Fatalf("found %v, want one %s", found, c.kind)
			}
		})
	}
}

func TestAHistoryTellsWhatHappenedLast(t *testing.T) {
	d := open(t)
	for range 40 {
		d.got(model.Like, refused)
	}
	a := acked(true, true, 1)
	a.At, a.Via = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), "api-1"
	d.got(model.Like, a)
	w := d.Record(pair, model.Look, seen(false, 0), 0)
	if w == nil || len(w.History) != 16 || w.History[14] != "03:04:05.000 api-1 like: acknowledged liked=true changed=true count=1 0-7-0" {
		t.Fatalf("%+v", w)
	}
}
