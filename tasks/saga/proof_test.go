package saga_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"plusone/hotpath/counter"
	"plusone/hotpath/like"
	"plusone/tasks/ledger"
	"plusone/tasks/saga"
)

// games are how many histories the normal run of the tests makes; more with
// -rapid.checks.
const games = 25

var errCrash = errors.New("the process is gone")

// faulty is the ledger of an engine that dies at one point: before or after what
// it is about to record has been recorded.
type faulty struct {
	*ledger.Ledger
	at      string // claim, record or return
	applied bool
}

func (f *faulty) ClaimSagas(ctx context.Context, p string, n int, lease time.Duration) ([]ledger.ClaimedSaga, error) {
	if f.at == "claim" {
		_, _ = f.Ledger.ClaimSagas(ctx, p, n, lease)
		return nil, errCrash
	}
	return f.Ledger.ClaimSagas(ctx, p, n, lease)
}

func (f *faulty) RecordTries(ctx context.Context, r []ledger.StepResult, patience, window time.Duration) (ledger.Recorded, error) {
	if f.at == "record" && !f.applied {
		return nil, errCrash
	}
	got, err := f.Ledger.RecordTries(ctx, r, patience, window)
	if f.at == "record" {
		return nil, errCrash
	}
	return got, err
}

func (f *faulty) RecordCompensations(ctx context.Context, r []ledger.StepResult, most int) (ledger.Recorded, error) {
	if f.at == "record" && !f.applied {
		return nil, errCrash
	}
	got, err := f.Ledger.RecordCompensations(ctx, r, most)
	if f.at == "record" {
		return nil, errCrash
	}
	return got, err
}

// ReturnSagas dies with its transaction open: before Redis has changed, or after, also
// where nothing is left to change but a quota.
func (f *faulty) ReturnSagas(ctx context.Context, sagas []ledger.ClaimedSaga, shards []int, window time.Duration,
	undo func(context.Context, []ledger.SagaReturn) ([]time.Duration, []string),
	finish func(context.Context, []ledger.ClaimedSaga) ([]time.Duration, []string),
) (ledger.Recorded, error) {
	if f.at != "return" {
		return f.Ledger.ReturnSagas(ctx, sagas, shards, window, undo, finish)
	}
	ctx, die := context.WithCancel(ctx)
	defer die()
	return f.Ledger.ReturnSagas(ctx, sagas, shards, window, func(ctx context.Context, r []ledger.SagaReturn) ([]time.Duration, []string) {
		defer die()
		if !f.applied {
			return make([]time.Duration, len(r)), make([]string, len(r))
		}
		return undo(ctx, r)
	}, func(ctx context.Context, over []ledger.ClaimedSaga) ([]time.Duration, []string) {
		defer die()
		if !f.applied {
			return make([]time.Duration, len(over)), make([]string, len(over))
		}
		return finish(ctx, over)
	})
}

// In every history of users, participants and crashes, the books of all end equal,
// receivers are told of what stayed, and nothing hangs.
func TestInEveryHistoryTheBooksOfAllEndEqual(t *testing.T) {
	t.Parallel()
	given := map[string]bool{}
	flag.Visit(func(f *flag.Flag) { given[f.Name] = true })
	for name, value := range map[string]string{"rapid.checks": strconv.Itoa(games), "rapid.nofailfile": "true"} {
		if !given[name] {
			check(t, flag.Set(name, value))
		}
	}
	w := newWorks(t, "a", "b")
	game := 0
	rapid.Check(t, func(rt *rapid.T) {
		game++
		play(rt, w, fmt.Sprint("g", game))
	})
}

// history is one game: what happens to two items, in an order that chance draws.
type history struct {
	*rapid.T
	*works
	items []string
}

func play(t *rapid.T, w *works, name string) {
	h := &history{T: t, works: w, items: []string{name + "-x", name + "-y"}}
	for _, p := range w.asked {
		p.set(mood{})
	}
	for range rapid.IntRange(4, 40).Draw(t, "steps") {
		h.step()
	}
	for _, p := range w.asked {
		p.set(mood{})
	}
	w.settle(t, w.engine)
	_, err := w.ledger.RetryHanging(t.Context(), ledger.By{Who: "test", Reason: "the participants are back"})
	check(t, err)
	w.settle(t, w.engine)
	h.warm()
	for _, p := range w.asked {
		p.arrive() // all has ended, so nothing that comes now may change anything
	}
	w.agree(t, h.items...)
	w.quotaAgrees(t)
	if n := w.number(t, `SELECT count(*) FROM sagas WHERE ended_at IS NULL`); n != 0 {
		t.Fatalf("%d sagas hang: %q", n, w.sagas(t))
	}
}

func (h *history) step() {
	switch rapid.SampledFrom([]string{
		"want", "want", "want", "drain", "drain", "turn", "turn", "turn", "turn", "mood", "mood", "later", "later", "evict", "race", "operator", "arrive",
	}).Draw(h.T, "step") {
	case "want":
		h.want(h.T, h.item(), h.user(), rapid.SampledFrom([]like.Want{like.Liked, like.NotLiked, like.Toggle}).Draw(h.T, "want"))
	case "drain":
		h.drain(h.T)
	case "turn":
		_, err := h.anEngine().Turn(h.Context(), h.lane())
		if err != nil && !errors.Is(err, errCrash) && !errors.Is(err, context.Canceled) {
			h.Fatalf("%v", err)
		}
	case "mood":
		h.asked[rapid.IntRange(0, len(h.asked)-1).Draw(h.T, "participant")].set(h.mood())
	case "later":
		h.later(h.T, rapid.SampledFrom([]time.Duration{time.Second, time.Minute, 2 * time.Hour, 25 * time.Hour}).Draw(h.T, "time"))
	case "evict":
		item := h.item()
		_, err := h.log.Evict(h.Context(), counter.ShardOf(item, shards), []string{item})
		check(h, err)
	case "race":
		h.race()
	case "operator":
		h.act()
	case "arrive":
		for _, p := range h.asked {
			p.arrive()
		}
	}
}

func (h *history) item() string { return rapid.SampledFrom(h.items).Draw(h.T, "item") }
func (h *history) user() string { return rapid.SampledFrom([]string{"ann", "bob"}).Draw(h.T, "user") }

func (h *history) lane() string { return rapid.SampledFrom([]string{"a", "b", ""}).Draw(h.T, "lane") }

// anEngine is one that dies half-way, or not.
func (h *history) anEngine() *saga.Engine {
	at := rapid.SampledFrom([]string{"", "", "", "claim", "record", "return"}).Draw(h.T, "dies at")
	if at == "" {
		return h.engine
	}
	return h.newEngine(&faulty{Ledger: h.ledger, at: at, applied: rapid.Bool().Draw(h.T, "applied")})
}

func (h *history) mood() mood {
	return rapid.SampledFrom([]mood{
		{},
		{},
		{reject: rejectAll},
		{reject: func(p counter.Pair) bool { return p.User == "bob" }},
		{before: 500},
		{after: 500},
		{retry: true},
		{twice: true},
		{forgets: true},
		{late: true},
	}).Draw(h.T, "mood")
}

// race has two workers and a drain at once.
func (h *history) race() {
	lanes := []string{h.lane(), h.lane()}
	var all sync.WaitGroup
	for _, lane := range lanes {
		all.Go(func() { _, _ = h.engine.Turn(h.Context(), lane) })
	}
	all.Go(func() {
		for s := range shards {
			_ = h.drainer.Drain(h.Context(), s)
		}
	})
	all.Wait()
}

func (h *history) act() {
	open, err := h.ledger.Sagas(h.Context(), ledger.SagaFilter{Item: h.item(), Limit: 10})
	check(h, err)
	if len(open) == 0 {
		return
	}
	id := open[rapid.IntRange(0, len(open)-1).Draw(h.T, "saga")].ID
	act := rapid.SampledFrom([]string{ledger.ActRetry, ledger.ActCompensate}).Draw(h.T, "act")
	if err := h.ledger.ActOnSaga(h.Context(), id, act, ledger.By{Who: "test", Reason: "by chance"}); !errors.Is(err, ledger.ErrActRefused) {
		check(h, err)
	}
}

// warm has Redis load the items, so that they can be looked at.
func (h *history) warm() {
	for _, item := range h.items {
		h.want(h, item, "nobody", like.NotLiked)
	}
}
