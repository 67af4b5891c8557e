package model_test

import (
	"slices"
	"time"

	"pgregory.net/rapid"

	"plusone/hotpath/counter"
	"plusone/tasks/ledger"
)

// drain drains one shard.
func (m *machine) drain() {
	m.drainShard(rapid.IntRange(0, m.w.Shards-1).Draw(m.T, "shard"))
}

// drainShard drains a shard. Whatever is lost on the way, it has happened wholly
// or not at all: the watermark tells.
func (m *machine) drainShard(shard int) {
	m.now = nil
	err := m.house().drainer.Drain(background, shard)
	m.broken(err)
	pending := m.w.Logs[shard].Pending()
	seen := m.look()
	if err != nil && seen.Shards[shard].Watermark == m.w.Logs[shard].Watermark {
		return
	}
	m.w.Drain(shard)
	m.past = append(m.past, pending...)
	if s := seen.Shards[shard]; !m.faulty && !s.Pinned && len(s.Entries) > 0 {
		m.Fatalf("shard %d is drained and not trimmed: %v", shard, s.Entries)
	}
}

// evict makes items cold, by what the janitor calls.
func (m *machine) evict() {
	asked := rapid.SliceOfNDistinct(rapid.SampledFrom(items), 1, len(items), rapid.ID[string]).Draw(m.T, "items")
	m.evictItems(asked)
}

func (m *machine) evictItems(asked []string) {
	byShard := map[int][]string{}
	for _, item := range asked {
		byShard[m.w.Shard(item)] = append(byShard[m.w.Shard(item)], item)
	}
	for shard, here := range byShard {
		m.now = nil
		dropped, err := m.house().log.Evict(background, shard, here)
		m.broken(err)
		if err != nil && !m.gone(here) {
			continue
		}
		want := m.w.Evict(here)
		loading := slices.ContainsFunc(here, func(item string) bool { return m.late[item] })
		if err == nil && m.w.Logs[shard].Open && dropped != want && !loading {
			m.Fatalf("%d of %v are evicted, want %d", dropped, here, want)
		}
		for _, item := range here {
			if _, resident := m.w.Likers[item]; !resident {
				m.cooled(item)
			}
		}
	}
}

// forget makes an item partly resident and drops some of what is known of it, by
// what the janitor calls. Whatever it drops, nothing that can be asked changes.
func (m *machine) forget() {
	item := m.genItem()
	_, err := m.house().log.Shrink(background, m.w.Shard(item), item, 0, int64(rapid.IntRange(0, 2).Draw(m.T, "keep")))
	m.broken(err)
}

// gone reports whether an eviction without an answer has happened.
func (m *machine) gone(evicted []string) bool {
	seen := m.look()
	return slices.ContainsFunc(evicted, func(item string) bool {
		_, before := m.w.Likers[item]
		_, now := seen.Items[item]
		return before && !now
	})
}

// deliver brings entries to the ledger that it has seen already, or some of a
// log's before their turn, in any order; the drain then brings those again.
func (m *machine) deliver() {
	shard := rapid.IntRange(0, m.w.Shards-1).Draw(m.T, "shard")
	entries := append(slices.Clone(m.past), m.w.Logs[shard].Pending()...)
	if len(entries) == 0 {
		m.Skip("nothing to deliver")
	}
	for range rapid.IntRange(1, 3).Draw(m.T, "deliveries") {
		e := entries[rapid.IntRange(0, len(entries)-1).Draw(m.T, "entry")]
		if err := m.r.deliver(e, shard); err != nil {
			m.Fatal(err)
		}
		m.w.Deliver(e)
	}
	m.drainShard(shard)
}

// flush empties Redis.
func (m *machine) flush() {
	if err := m.r.doors[m.r.active].FlushAll(background).Err(); err != nil {
		m.Fatal(err)
	}
	m.w.Flush()
	m.allCooled()
}

// freeze freezes an item, or unfreezes it. Now and then Redis can't be told, and has
// lost everything when it is back.
func (m *machine) freeze() {
	item, wiped := m.genItem(), rapid.SampledFrom([]bool{false, false, true}).Draw(m.T, "wiped")
	m.w.Frozen[item] = !m.w.Frozen[item]
	_, err := m.r.ledger.SetFrozen(background, []string{item}, counter.Bucket, m.w.Frozen[item], ledger.By{Who: "op", Reason: "by chance"})
	m.fatal(err)
	if wiped {
		m.flush()
		return
	}
	m.fatal(m.house().log.BringFreezes(background, m.r.ledger, m.w.Shard(item)))
}

// eventually waits for what others reach by themselves, however busy the machine
// is.
func eventually(holds func() bool) bool { return within(20*time.Second, holds) }

func within(d time.Duration, holds func() bool) bool {
	for deadline := time.Now().Add(d); !holds(); {
		if time.Now().After(deadline) {
			return false
		}
		time.Sleep(200 * time.Microsecond)
	}
	return true
}
