package model

import (
	"maps"
	"slices"

	"plusone/hotpath/counter"
	"plusone/hotpath/like"
)

// Pair is a user and an item.
type Pair = counter.Pair

// Set is the users who like an item.
type Set map[string]bool

// Row is what the ledger has of a pair; an unlike stays as Liked = false. Votes are
// pairs, too, of an item and like.VoteUser(ref), with a weight.
type Row struct {
	Liked   bool
	Version like.Version
	Weight  int32
}

// Entry is one entry of a log. One without changes is a marker.
type Entry struct {
	Version like.Version
	Changes []like.Change
}

// Log is one shard: its log in Redis, and how far the ledger has it.
type Log struct {
	Open    bool
	Entries []Entry // oldest first; those up to Watermark wait for a trim
	Last    like.Version
	Fresh   []like.Change // made since the last Match, their versions not known yet

	Watermark, Floor like.Version // in the ledger
	Signed           like.Version // there, too: the marker behind the last import
}

// World is everything that plusone stores.
type World struct {
	Shards int
	Likers map[string]Set // resident items of open shards
	Logs   []*Log         // by shard
	Rows   map[Pair]Row   // the ledger
	Frozen Set            // items that take no new likes, as the ledger has it
}

// New is an empty world.
func New(shards int) *World {
	w := &World{Shards: shards, Likers: map[string]Set{}, Rows: map[Pair]Row{}, Frozen: Set{}}
	for range shards {
		w.Logs = append(w.Logs, &Log{})
	}
	return w
}

// Clone is a copy that shares nothing which changes.
func (w *World) Clone() *World {
	c := &World{Shards: w.Shards, Likers: cloneLikers(w.Likers), Rows: maps.Clone(w.Rows), Frozen: maps.Clone(w.Frozen)}
	for _, l := range w.Logs {
		c.Logs = append(c.Logs, l.clone())
	}
	return c
}

func (l *Log) clone() *Log {
	c := *l
	c.Entries, c.Fresh = slices.Clone(l.Entries), slices.Clone(l.Fresh)
	return &c
}

func cloneLikers(likers map[string]Set) map[string]Set {
	c := make(map[string]Set, len(likers))
	for item, users := range likers {
		c[item] = maps.Clone(users)
	}
	return c
}

// Shard is the shard of an item, LogOf its log.
func (w *World) Shard(item string) int { return counter.ShardOf(item, w.Shards) }

// LogOf is the log of an item's shard.
func (w *World) LogOf(item string) *Log { return w.Logs[w.Shard(item)] }

// users is who likes an item, as an answer tells it: the set of a resident
// item, else the ledger's rows.
func (w *World) users(item string) Set {
	if users, resident := w.Likers[item]; resident {
		return users
	}
	return w.Stored(item)
}

// Stored is who likes an item as the ledger has it.
func (w *World) Stored(item string) Set {
	users := Set{}
	for pair, row := range w.Rows {
		if pair.Item == item && row.Liked && !isVote(pair) {
			users[pair.User] = true
		}
	}
	return users
}

// Count is how many like an item, and its votes; Likes whether a user does.
func (w *World) Count(item string) int64 { return int64(len(w.users(item))) + w.Votes(item) }

// Likes reports whether a pair is liked.
func (w *World) Likes(p Pair) bool { return w.users(p.Item)[p.User] }

// Pending are the entries that the ledger lacks.
func (l *Log) Pending() []Entry {
	i := slices.IndexFunc(l.Entries, func(e Entry) bool { return e.Version > l.Watermark })
	if i < 0 {
		return nil
	}
	return l.Entries[i:]
}

// Names reports whether the log names an item.
func (l *Log) Names(item string) bool {
	return slices.ContainsFunc(l.Entries, func(e Entry) bool {
		return slices.ContainsFunc(e.Changes, func(ch like.Change) bool { return ch.Item == item })
	})
}
