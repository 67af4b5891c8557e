// Package reconcile compares counter and ledger while traffic runs, and repairs
// what differs.
//
// Its promises:
//
//   - What live traffic has changed is never taken for drift: a correct system
//     shows no finding under any load.
//   - A repair is made by one script (or one transaction) that checks once more
//     what was found; when the state has moved on it does nothing.
//   - An error of any read ends the work on that shard; nothing is repaired on
//     a guess.
//   - Every finding is kept in the table repairs and counted in the metrics.
//
// How a shard is looked at, some items at a time:
//
//	digests of the items' likers, of both sides at once ──► alike: done
//	    │ not alike: drift, live traffic, or no wholly resident item
//	    ▼
//	pin the log at its last id L ──► wait until the ledger has L
//	    ──► snapshot items in Redis ──► read their rows in the ledger
//	    ──► a pair that differs is drift, unless an entry after L names it or
//	        its row is newer than L; or an import has brought it, so that it
//	        differs no more once the imports that were under way are committed
//	    ──► repair, if the pin still stands and still no entry names it
//	    ──► release the pin
//
// A digest is made of every pair: Redis lists the users and this process hashes
// them, Postgres hashes its rows by the same function. It holds their number and two
// sums of 64 bits, by keys that are drawn anew for some hundred items each. Two sets
// that differ have one digest by a chance of 2^-128, and by another one in the next
// pass; nobody can choose ids that it takes for others. Where digests and counts are
// alike nothing is left to be repaired, so neither a pin nor one moment of both
// sides is needed.
//
// What comes after L explains every difference that traffic makes. The log keeps
// it until the pin's owner has read it and remembered what concerns its items;
// then the pin moves on. After a crash the pin ends by itself.
//
// Which side is right:
//
//	ledger's row    Redis' set    repair
//	liked           lost it       back into the set
//	none            has it        appended to the log again, so the ledger gets it
//	not liked       has it        out of the set: the ledger has seen the unlike
//
// A vote of which Redis knows is treated alike: a row that the ledger lacks, or has
// from before, is appended to the log; where it has a newer one, or another of the same
// change, Redis forgets what it knew. The sum of an item's votes follows the ledger's
// rows, with what the log has in between.
//
// A count in Redis follows its set and that sum, a count in the ledger its rows. A set that
// holds only some of an item's likers can't tell its count; that one is compared
// with the ledger's, to which what the log has in between is added. Before the
// shards the books are checked: the ledger's counts against its own rows.
//
// A pass in the background rests after each step 49 times as long as the step took,
// so that Redis and Postgres work a 50th of the time for it, at any load. When it looks
// at half a million pairs a second, 10 million are compared within 20 minutes; items that
// changed recently are looked at first, and again in between. Under a pin it rests no
// longer than it works.
//
// Reconcilers share the work by advisory locks, one per shard: who finds a shard
// locked leaves it to the other, and a single pass waits for its turn.
//
// The Returner takes writes back to Redis after an outage during which they went to
// the ledger. So long nothing is compared.
//
// The Janitor keeps Redis' memory under its bound by making idle items cold and
// large ones partly resident.
package reconcile
