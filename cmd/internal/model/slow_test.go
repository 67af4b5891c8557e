package model_test

import (
	"context"
	"fmt"
	"sync/atomic"

	"pgregory.net/rapid"

	"plusone/hotpath/like"
	"plusone/scripts/dev/private/privatetest"
	"plusone/tasks/ledger"
)

// hook is a ledger whose answers arrive late: what was read is old when the
// counter gets it.
type hook struct {
	*ledger.Ledger
	meanwhile atomic.Pointer[func()] // called once, between the ledger's answer and its arrival
}

func (h *hook) late() {
	if do := h.meanwhile.Swap(nil); do != nil {
		(*do)()
	}
}

// Counts is Ledger.Counts.
func (h *hook) Counts(ctx context.Context, items, users []string) ([]like.Reading, error) {
	got, err := h.Ledger.Counts(ctx, items, users)
	if len(users) > 0 && users[0] != "" { // nobody asks: a load begins, LoadLikers will be late
		h.late()
	}
	return got, err
}

// LoadLikers is Ledger.LoadLikers.
func (h *hook) LoadLikers(ctx context.Context, items []string, page int, yield func(string, []string) error) error {
	err := h.Ledger.LoadLikers(ctx, items, page, yield)
	h.late()
	return err
}

// slow applies an op through the twin. While it holds an old answer of the ledger,
// for so long that its leases have run out, the other process goes on: ops, a
// drain, and the item is evicted, forgets, or Redis is emptied.
func (m *machine) slow() {
	op := m.genOps()[:1]
	others := m.genOps()
	for i := range others {
		others[i].Item = op[0].Item
	}
	then := rapid.SampledFrom([]string{"evict", "forget", "flush", "nothing"}).Draw(m.T, "then")
	m.touched[op[0].Item] = true
	if rapid.Bool().Draw(m.T, "cold") {
		m.evictItems([]string{op[0].Item})
		m.check()
		m.touched[op[0].Item] = true
	}
	var err error
	meanwhile := func() { err = m.meanwhile(others, then) }
	m.house().hook.meanwhile.Store(&meanwhile)
	results := apply(m.house().twin, op)
	m.house().hook.meanwhile.Store(nil)
	m.fatal(err)
	m.now = nil
	m.answered(op, results)
}

// meanwhile is what others do while one waits for so long that its leases and pins
// run out. It may run on another goroutine, while the machine waits.
func (m *machine) meanwhile(ops []like.Op, then string) error {
	item, door := ops[0].Item, m.r.doors[m.r.active]
	shard := m.w.Shard(item)
	if err := door.Del(background, key(shard, "lease:"+item), key(shard, "pin")).Err(); err != nil {
		return err
	}
	if err := replay(m.w, ops, m.house().apply(ops), nil); err != nil {
		return err
	}
	if err := m.adopt(); err != nil {
		return err
	}
	if err := m.house().drainer.Drain(background, shard); err != nil {
		return err
	}
	m.w.Drain(shard)
	if err := m.adopt(); err != nil {
		return err
	}
	switch then {
	case "evict":
		dropped, err := m.house().log.Evict(background, shard, []string{item})
		if want := m.w.Evict([]string{item}); err != nil || dropped != want {
			return fmt.Errorf("%d evicted, want %d: %w", dropped, want, err)
		}
	case "forget":
		_, err := m.house().log.Shrink(background, shard, item, 0, 0)
		return err
	case "flush":
		m.w.Flush()
		return door.FlushAll(background).Err()
	}
	return nil
}

// adopt compares both stores with the model.
func (m *machine) adopt() error {
	seen, err := m.r.look(m.w.Shards)
	if err == nil {
		err = m.w.Match(seen, m.touched)
	}
	return err
}

// stopped is a pass of the reconciler that stands still at some step, for so long
// that its pin ends, while the item is changed, drained and trimmed. It must not
// take any of that for drift.
func (m *machine) stopped() {
	m.drainAll()
	m.check()
	others := m.genOps()
	for i := range others {
		others[i].Item = others[0].Item
	}
	m.touched[others[0].Item] = true
	then := rapid.SampledFrom([]string{"nothing", "evict", "forget"}).Draw(m.T, "then")
	wires := map[string]*privatetest.Wire{"redis": m.r.redis, "ledger": m.r.pg}
	at := wires[rapid.SampledFrom([]string{"redis", "ledger"}).Draw(m.T, "store")]
	var err error
	at.Delay(rapid.IntRange(0, 24).Draw(m.T, "exchange"), func() { err = m.meanwhile(others, then) })
	m.faulty = true // its pin may be gone
	m.expect()
	m.faulty = false
	at.Calm()
	m.fatal(err)
}
