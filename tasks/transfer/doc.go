// Package transfer brings likes in from elsewhere, and takes them out: files of CSV and
// NDJSON, and tables of another Postgres, while traffic runs.
//
//	Source ──records──▶ chunk ──by shard──▶ claim in Redis ─▶ rows in the ledger ─▶ resident
//	                      │                  items learn of it ─▶ marker in the log ─▶ commit
//	                      │                  ─▶ let them load again
//	                      ▼ all shards are done
//	                    rejects, then how far it is
//
// What it promises:
//
//   - Whatever users have done stays: a row that plusone has made itself, and an entry that
//     waits in the log, win against what is imported. An imported like gives way to a
//     newer import only.
//   - Both sides agree at every commit, also for items that are being liked meanwhile: no
//     item can be loaded with half of it, and those that Redis has are changed in place.
//   - It may be repeated, and goes on behind the last chunk that was noted. After a crash
//     what is in Redis and was not committed is in the next chunk; so long the reconciler
//     may find it, and brings the same. A Redis that takes over without having heard of an
//     import is known by its log, which lacks the marker behind what that brought.
//   - Nobody is told, asked or charged: no notification, no participant, no quota. Votes
//     stay as they are. A frozen item takes no imported likes.
//
// An export is of one moment of the ledger, unless it was taken up again after it was cut
// off; then it says so.
package transfer
