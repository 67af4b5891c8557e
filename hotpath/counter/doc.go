// Package counter is the fast side of plusone: sets and counts in Redis, and
// the log that hands every change over to the ledger.
//
// Its promises:
//
//   - An op that was answered without an error is in Redis and, if it changed
//     something, in the log: both by one script call, or neither.
//   - An op is sent at most once per answer. When no answer comes its error is
//     like.ErrUnknown; any other error means that it was not applied.
//   - A cold item is never taken for an item without likes.
//   - Queues are bounded; what does not fit is refused at once.
//
// The way of an op:
//
//	Apply ── queue ── lane ── like.lua ──┬── changed, unchanged ── answer
//	           ▲                         ├── cold ────┐
//	           │                         └── closed ──┤
//	           └──────── again ───── warmer ◄─────────┘
//	                                   opens shards, loads items from the ledger
//
// A lane sends what has gathered while its previous batch was under way, so an
// idle server answers in one round trip and a busy one fills its batches. The
// lane never waits for the ledger: ops that need it are handed to the warmer
// and come back into the queue.
//
// A shard is closed, open, or closed again:
//
//	closed ──open.lua──► open ──FLUSHALL, check.lua (stale replica)──► closed
//
// While it is closed nothing can be applied. Opening waits until the log has
// nothing that the ledger lacks, floors the log's ids above all that the
// ledger has seen, and starts with every item cold.
package counter
