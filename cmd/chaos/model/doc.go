// Package model knows what clients of plusone have been promised, and tells
// where answers or stores break a promise.
//
// Each pair of item and user has one owner, a client that has one op under way
// at a time. What the owner may expect of its pair:
//
//	         acknowledged                no answer (or "outcome unknown")
//	known ──────────────► known    known ────────────────────────────────► open
//	  ▲                                                                      │
//	  └── a calm has passed, and like or unlike was repeated until it was ───┘
//	      acknowledged, or a toggle's state has been read
//
// An op without an answer may still be on its way: in a stopped process, in a
// socket's buffer, behind a slow link. So an open pair keeps its wish: only the
// same op is repeated, which is safe, and once that is acknowledged every
// reading has to show it. The wish changes after the next calm, a time without
// faults that is longer than anything can be on its way.
//
// Every refusal that is not "outcome unknown" is a promise too: nothing was
// applied.
//
// The package does no I/O and reads no clock.
package model
