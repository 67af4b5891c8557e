// Package tasks takes a like through: from the log in Redis into the ledger,
// and from there to those who want to know.
//
//	log ──Bell──> task "drain" ──Server──> Drainer ──> ledger ──> Trim
//	 ▲                ▲                       │ refused row: dead letter, undone in Redis
//	 │                │                       └ Postgres away: task "drain:<shard>:retry"
//	 └────Sweeper─────┘ every second, for what no doorbell brought
//
// What it promises:
//
//   - No task carries a like. A task may be lost, stuck, repeated or run twice at
//     once: that costs time, and an idle transaction at most. The log is what
//     counts, and it is trimmed only after the commit.
//   - A crash at any step is repaired by the next drain, see Drainer.
//   - A row that the ledger refuses holds nothing else up.
//   - Without Postgres there is one waiting task per shard, however long it takes.
package tasks
