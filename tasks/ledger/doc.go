// Package ledger is the durable side of a like: Postgres, and the one home of
// every SQL statement, each beside the method that runs it.
//
// What it promises:
//
//   - A change is applied at most once and in order. A row's version never goes
//     back, so a repeated, late or foreign delivery changes nothing.
//   - An item's count is the sum of its liked rows and of its votes in every committed
//     state:
//     the statement that moves rows moves the count by the rows that it really
//     flipped.
//   - A shard's watermark moves in the transaction that applies the entries
//     below it. After a crash anywhere, either both are there or neither.
//
// A drain's transaction:
//
//	Begin ── lock the shard's watermark ──> Apply* / DeadLetter* ──> Advance ──> Commit
//	  │ ErrLocked: another drain has it       │ ErrRefused: the rows are bad, the
//	  ▼                                       ▼ transaction goes on without them
//	(nothing happened)                      (split the rows and apply the halves)
//
// While Redis is away likes are written here directly, in transactions of their
// own (Direct), whose versions are above all that Redis has given and whose floors
// keep what Redis gives later above them. Where everybody writes is one row, the
// mode; Switch and Return change it.
//
// Errors: what a store that is away causes wraps like.ErrUnavailable, what bad
// data causes wraps ErrRefused, never both. Deadlines come with the context of
// each call. The statements rely on READ COMMITTED and on synchronous commit,
// the defaults of Postgres.
package ledger
