package model

import (
	"maps"
	"slices"

	"plusone/hotpath/like"
)

// Touch makes an item resident: it opens the shard, then loads the item.
func (w *World) Touch(item string) {
	w.Open(w.Shard(item))
	w.Likers[item] = maps.Clone(w.users(item))
}

// Open opens a closed shard: every item of it is cold, and a marker in the log
// lies above the floor, unless the log's end does already. The log must be
// drained.
func (w *World) Open(shard int) {
	l := w.Logs[shard]
	if l.Open {
		return
	}
	w.cool(shard)
	l.Open = true
	if floor := max(l.Floor, l.Signed); l.Last <= floor {
		l.Last = floor.Next()
		l.Entries = append(l.Entries, Entry{Version: l.Last})
	}
}

// Verify is the look at a Redis that was not looked at yet: it closes every
// shard whose log is behind the ledger.
func (w *World) Verify() {
	for s, l := range w.Logs {
		if l.Open && l.Behind() {
			w.Close(s)
		}
	}
}

// Close closes a shard.
func (w *World) Close(shard int) {
	w.cool(shard)
	w.Logs[shard].Open = false
}

// cool makes every item of a shard cold.
func (w *World) cool(shard int) {
	maps.DeleteFunc(w.Likers, func(item string, _ Set) bool { return w.Shard(item) == shard })
}

// Refuses reports whether an op would make a pair of a frozen item liked.
func (w *World) Refuses(op like.Op) bool {
	return w.Frozen[op.Item] && op.Want != like.NotLiked && !w.Likes(Pair{Item: op.Item, User: op.User})
}

// Do applies an op, unless it is refused, and tells the state after it and whether it
// changed.
func (w *World) Do(op like.Op) (liked, changed bool) {
	w.Touch(op.Item)
	users := w.Likers[op.Item]
	was := users[op.User]
	liked = op.Want == like.Liked || op.Want == like.Toggle && !was
	if liked == was || w.Refuses(op) {
		return was, false
	}
	if liked {
		users[op.User] = true
	} else {
		delete(users, op.User)
	}
	l := w.LogOf(op.Item)
	l.Fresh = append(l.Fresh, like.Change{Item: op.Item, User: op.User, Liked: liked})
	return liked, true
}

// Drain moves a log's pending entries into the ledger. The entries stay until
// they are trimmed, which nobody sees.
func (w *World) Drain(shard int) {
	l := w.Logs[shard]
	for _, e := range l.Pending() {
		w.Deliver(e)
		l.Watermark = e.Version
		l.Floor = max(l.Floor, e.Version)
	}
}

// Deliver brings one entry's changes to the ledger. What a row has seen already,
// or something newer, changes nothing: so repeats and late deliveries are
// harmless.
func (w *World) Deliver(e Entry) {
	for _, ch := range e.Changes {
		p := Pair{Item: ch.Item, User: ch.User}
		// Of two changes in one entry the later one counts.
		if row, has := w.Rows[p]; !has || row.Version <= e.Version {
			weight := ch.Weight
			if row.Liked { // it stands while the vote counts
				weight = row.Weight
			}
			w.Rows[p] = Row{Liked: ch.Liked, Version: e.Version, Weight: weight}
		}
	}
}

// Evict makes those of the items cold that the log does not name, and tells how
// many were resident.
func (w *World) Evict(items []string) (dropped int) {
	for _, item := range items {
		if _, resident := w.Likers[item]; resident && !w.LogOf(item).Names(item) {
			delete(w.Likers, item)
			dropped++
		}
	}
	return dropped
}

// Flush empties Redis: what was pending is lost.
func (w *World) Flush() { w.Restore(New(w.Shards)) }

// Restore brings Redis back to what it held in an earlier world, which may have
// had another number of shards: what was pending now is lost, what was pending
// then is pending again, unless the ledger has it. The ledger stays as it is.
func (w *World) Restore(from *World) {
	w.Likers = cloneLikers(from.Likers)
	for s, l := range w.Logs {
		then := &Log{}
		if s < len(from.Logs) {
			then = from.Logs[s].clone()
		}
		then.Open = then.Open && w.Shards == from.Shards
		then.Watermark, then.Floor, then.Signed = l.Watermark, l.Floor, l.Signed
		w.Logs[s] = then
		if !then.Open {
			w.cool(s)
		}
	}
}

// End is the largest id of a log that the ledger knows of.
func (l *Log) End() like.Version { return max(l.Watermark, l.Signed) }

// Behind reports whether a log has lost its end: new ids would lose against
// what the ledger has, or Redis lacks an import.
func (l *Log) Behind() bool { return l.Last < l.End() }

// Ahead reports whether the ledger is ahead of every log of an earlier world.
func (w *World) Ahead(of *World) bool {
	for s, l := range of.Logs {
		if s < len(w.Logs) && l.Last >= w.Logs[s].End() {
			return false
		}
	}
	return true
}

// Reshard changes the number of shards. All logs must be drained: each shard
// starts above every version there was, and every item is cold.
func (w *World) Reshard(to int) {
	var start like.Version
	for _, l := range w.Logs {
		start = max(start, l.Floor, l.Signed)
	}
	start++
	old := w.Logs
	w.Shards, w.Likers, w.Logs = to, map[string]Set{}, nil
	for s := range to {
		l := &Log{Watermark: start, Floor: start}
		if s < len(old) {
			l.Entries, l.Last = slices.Clone(old[s].Entries), old[s].Last
		}
		w.Logs = append(w.Logs, l)
	}
}

// Append is the repair of a like that the ledger never had: it goes to the log
// again.
func (w *World) Append(p Pair) {
	w.Likers[p.Item][p.User] = true
	l := w.LogOf(p.Item)
	l.Fresh = append(l.Fresh, like.Change{Item: p.Item, User: p.User, Liked: true})
}
