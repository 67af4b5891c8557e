// Package model is plusone without Redis, Postgres, scripts, SQL and
// concurrency: what the counter, the logs and the ledger hold, and what each
// step does to them, small enough to be read in one sitting.
//
//	op ──► Likers (resident items) ──► Log.Entries ──drain──► Rows
//	          ▲                                                │
//	          └────────────── cold items load ─────────────────┘
//
// Its tests drive the real code and this model side by side through random
// sequences of ops, drains, faults and repairs. After every step the answers,
// both stores and the invariants of the design are compared. What may be lost is
// what the model says: a FLUSHALL or a stale replica loses what was in the log
// alone, and nothing else.
//
// The model does not know the ids that Redis gives to log entries. An op leaves
// its changes as Fresh; Match finds them in the log, learns their versions and
// holds that they are above everything before.
package model
