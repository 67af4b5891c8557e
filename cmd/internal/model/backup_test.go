package model_test

import (
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"plusone/cmd/internal/model"
)

// backup is a copy of Redis and the world it was taken in: what a replica has
// that stopped following.
type backup struct {
	w    *model.World
	keys []savedKey
}

type savedKey struct {
	name, dump string
	ttl        time.Duration
}

// save takes a copy of everything in Redis.
func (m *machine) save() {
	if m.r.mini != nil {
		m.Skip("miniredis has no DUMP")
	}
	door := m.r.doors[m.r.active]
	names, err := door.Keys(background, "p1:*").Result()
	if err != nil {
		m.Fatal(err)
	}
	b := backup{w: m.w.Clone()}
	for _, name := range names {
		pipe := door.Pipeline()
		dump, ttl := pipe.Dump(background, name), pipe.PTTL(background, name)
		if _, err := pipe.Exec(background); errors.Is(err, redis.Nil) {
			continue // it had a time to live
		} else if err != nil {
			m.Fatal(err)
		}
		b.keys = append(b.keys, savedKey{name, dump.Val(), max(ttl.Val(), 0)})
	}
	m.copies = append(m.copies, b)
}

// failover makes another server take over, which has one of the copies. What it
// lacks is lost if the ledger lacks it, too.
func (m *machine) failover() {
	if len(m.copies) == 0 {
		m.Skip("no copy")
	}
	b := m.copies[rapid.IntRange(0, len(m.copies)-1).Draw(m.T, "copy")]
	if b.w.Shards != m.w.Shards && !m.w.Ahead(b.w) {
		m.Skip("a copy from before a FLUSHALL and a change of shards is refused until that is done again")
	}
	if err := m.r.failover(b); err != nil {
		m.Fatal(err)
	}
	m.w.Restore(b.w)
	m.strays = m.strays || b.w.Shards > m.w.Shards
	m.allCooled()
	for shard, l := range m.w.Logs { // a worker does so before it is opened
		if l.Behind() && len(l.Pending()) > 0 {
			m.drainShard(shard)
		}
	}
}

func (r *rig) failover(b backup) error {
	to := 1 - r.active
	pipe := r.doors[to].Pipeline()
	pipe.FlushAll(background)
	for _, k := range b.keys {
		pipe.Restore(background, k.name, k.ttl, k.dump)
	}
	// Its promotion: it begins another life.
	pipe.SlaveOf(background, "127.0.0.1", "1")
	pipe.SlaveOf(background, "NO", "ONE")
	if _, err := pipe.Exec(background); err != nil {
		return err
	}
	r.active = to
	r.redis.Move(r.servers[to])
	return nil
}
