// Package counter is the fast side of plusone: sets and counts in Redis, and
// the log that hands every change over to the ledger.
//
// Its promises:
//
//   - An op that was answered without an error is in Redis and, if it changed
//     something, in the log: both by one script call, or neither.
//   - An op is sent at most once per answer. When no answer comes its error is
//     like.ErrUnknown; any other error means that it was not applied. Such an op is
//     applied within Timeout and half a second, or never.
//   - A cold item is never taken for an item without likes.
//   - Queues are bounded; what does not fit is refused at once.
//
// The count of an item that is asked for all the time is told from this process'
// memory for some milliseconds, with what this process has changed itself
// (Counter.Recent).
//
// The way of an op:
//
//	Apply ── queue ── lane ── like.lua ──┬── changed, unchanged ── answer
//	           ▲                         ├── unknown ──► learner ───┐
//	           │                         ├── cold ────┐             │
//	           │                         └── closed ──┤             │
//	           └──────── again ───── warmer ◄─────────┘             │
//	           └──────── again ─────────────────────────────────────┘
//
// The warmer opens shards and loads items from the ledger, the learner looks users
// up there.
//
// With a quota an exchange begins with quota.lua, which reserves a unit for each like of
// it, and ends what earlier ones have reserved (quota.go).
//
// A lane sends what has gathered while its previous batch was under way, so an
// idle server answers in one round trip and a busy one fills its batches. Whoever
// finds it idle sends by himself, on his own goroutine; what comes meanwhile is the
// lane's (queue). The lane never waits for the ledger: ops that need it are handed
// to the warmer and come back into the queue.
//
// An item is cold, or resident wholly (its set are its likers), or partly: its set
// holds the users who are known to like it, those who are known not to, marked by a
// "%" that no id can hold, and "%" itself.
//
//	         ┌──install.lua──────────────► wholly ──┐
//	cold ────┤                               │      ├──evict.lua──► cold
//	         └──install.lua, too large──► partly ───┘
//	                                         ▲ forget.lua: by the janitor
//
// An item leaves a state, and a partly resident one forgets a user, only when no
// entry of the log names what goes: so the ledger knows it, and may be asked.
//
// Imported likes are in no log. While their rows are being written nobody loads their
// items, and resident ones are changed in place before the rows are committed
// (absorb.go).
//
// Votes go another way, since nobody knows beforehand whether Redis knows of one:
//
//	Vote ── queue ── vote lane ── the ledger: what became of them? ── vote.lua ── answer
//	           ▲                                                         │
//	           └── again ── warmer ◄── cold, closed, or the answer is too old
//
// Beside its likers a resident item has the sum of its votes. What became of single
// votes a shard keeps apart: of all that the ledger may lack, and of some more, which
// a ledger that has lost them gets back. Of any other the ledger's answer counts, if
// it had the log up to the last of those that were forgotten. Votes need both stores;
// while writes go to the ledger they are refused.
//
// A shard is closed, open, or closed again:
//
//	closed ──open.lua──► open ──FLUSHALL, check.lua (stale replica)──► closed
//
// While it is closed nothing can be applied. Opening waits until the log has
// nothing that the ledger lacks, floors the log's ids above all that the
// ledger has seen, and starts with every item cold.
//
// An item that an operator has frozen takes no new likes: the ledger says which, each
// shard holds the names of its own, and a shard that has none is liked without a look.
// A shard opens only with all that the ledger says of frozen items (freeze.go).
//
// Where everybody writes is one row in the ledger, and Fence tells what it allows
// this process:
//
//	Redis answers ─────────────── ops go to Redis
//	   │ the breaker opens, and no other process reaches Redis
//	   ▼
//	the switch ────────────────── nobody writes, for like.DirectAfter
//	   ▼
//	the ledger ────────────────── Direct writes ops in batches
//	   │ Redis has answered for a while: its logs are drained, what was written
//	   ▼ meanwhile is dropped from it, its logs end above it
//	Redis again
//
// While Redis is away reads are answered by what this process has told within a
// second, then by the ledger, then by what it has told however long ago; each
// reading says which.
package counter
