// Package saga asks participants, services that must agree to likes after the
// fact, and takes back what one of them rejects.
//
// With participants set, the statement that flips a pair in the ledger begins a
// saga for it (package ledger). An Engine in each worker makes its steps:
//
//	           ┌─ retry ─┐                       agreed by all, told to receivers
//	flip ──▶ pending ◀───┘ ─────────────────────────────────────────▶ done
//	           │  │ step: one participant after the other              ▲
//	           │  └── the participants have it already, nobody is asked┘
//	           │ rejected, or no answer for too long
//	           ▼
//	       compensating ◀── by hand ── stuck; and done, if it is its pair's last
//	           │  │ step: those who agreed, and one whose ▲
//	           │  │ answer is not known, in reverse order │ failed too often
//	           │  └───────────────────────────────────────┘
//	           │ at last the like itself, see below
//	           ▼
//	       compensated
//
// What it promises:
//
//   - The participants' books end equal to the ledger. A pair is a state, and of
//     its sagas one is under way at a time, in their order. So what participants
//     hold is known: what the last saga wanted if it is done, the opposite if it
//     was compensated. A saga that wants what they hold asks nobody.
//   - Every call may be repeated, and is after a crash or an answer that was lost: a
//     participant knows a repeat by its key. A compensation may reach it without
//     its step, and before it (package barrier is made for both).
//   - A like is taken back only while it is the last that happened to the pair: not
//     when a newer change waits in the log or is in the ledger. That one has a saga
//     of its own.
//   - A like that a saga has taken back gives its unit of the quota back, once: Redis
//     keeps who has taken it back (retract.lua) and whose unit is back (giveback.lua),
//     and a saga has ended when both are done. One that its user has unliked before
//     is an unlike like any other.
//   - Votes ask no participant: what was paid was agreed to before.
//   - Receivers of notifications are told of what all agreed to, and of nothing else;
//     of what was compensated by hand after that they are told the opposite.
//   - A saga is claimed before each step, for longer than the step can take. Every
//     record is one statement that holds only if state, step and attempt are those
//     of the claim. So a crash at any point costs the time of the claim, and an
//     engine that comes back late changes nothing.
//   - A participant that is away holds up its own steps alone, with pauses that grow
//     to five minutes.
package saga
