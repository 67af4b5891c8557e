// Package operator carries out what operators have asked for and what takes its
// time: revocations, which take back all likes of a list of users and may be undone,
// and second tries of changes that the ledger has refused.
//
//	              ┌── a round has found some ──┐
//	revoke ──▶ running ◀───────────────────────┘      undo
//	              │ a round has found none ──▶ done ───────▶ undoing ──▶ undone
//	              └────────────── undo ────────────────────────▲
//
// A round begins when the ledger has all that the logs hold, and goes through the
// users, page by page, at a bounded rate.
//
// What it promises:
//
//   - Counts are right on both sides: a like goes by a change of its own, through
//     script and log like any other, and so it comes back.
//   - An undo returns exactly the likes that the revocation has taken and that nothing
//     newer has happened to. A like that was frozen meanwhile comes back, too: it is
//     no new one.
//   - State is in the ledger: users, cursor, and each like that was taken, with the
//     version of its unlike. A page is moved while its rows are locked there and
//     recorded in the same transaction. Redis keeps a mark of each change until that
//     has committed, written by the same script. So after a crash anywhere the next
//     worker goes on, and knows what was done.
//   - One worker at a time works on a revocation; its claim ends by itself. An operator
//     who undoes one that runs waits for its page at most.
//   - Items that had to be loaded for it are made cold again behind it.
//
// While likes are written straight to the ledger all of it waits.
package operator
