// Package console is plusone for operators: pages on the internal listener, made on
// the server, that say how this process and both stores are, and where a person may
// do what the command line does.
//
// Its promises:
//
//   - Looking changes nothing. What changes something is a POST of a person who has
//     logged in with the listener's token, from a page of this process, who says why;
//     it goes the same way as the command of that name, and who, why and when are kept.
//   - What can't be taken back is asked twice.
//   - Without a token to be shown nobody can log in, and nobody can act. plusone dev lets
//     everybody look, and wants its token of those who act.
//   - A store that is away takes its part of a page with it and no other: the page
//     says which, and what to do. Every question to a store has a deadline.
//   - Pages load nothing from anywhere else and run no script but the embedded ones.
//
// The way of a person:
//
//	/console/… ──not logged in──► /console/login ──token──► a signed cookie, 8 h
//	    │                              ▲ ten wrong tries a minute and address
//	    ▼                              └── logout, the end of the 8 h, another token
//	 a page ──act, reason──► asked again, if it is final ──► done, and the page again
//
// The cookie is signed with what all processes on one ledger share and with the
// token, so it is good for all of them and ends with the token. A cookie that was
// logged out is refused by the process where that was done; the browser forgets it
// for all.
//
// The queues have a dashboard of their own, asynq's, below /tasks/; the listener gives it
// fonts and a way back, which is as far as the page of another project goes.
//
// The plots come from this process' own metrics, sampled every other second into a
// ring of a quarter of an hour. What other processes count is not there, and the page
// says so; logs and memory are asked of Redis, where this process has no gauge of
// them, while somebody looks.
package console
