// Package stores opens Redis and Postgres for the commands, with every timeout
// and bound spelled out, and refuses a Redis that would break what plusone
// promises. Its errors say what to do; they never hold a password.
package stores

import "time"

// Bounds of every exchange with a store, below the ones of the callers. A
// statement of Postgres may take longer: it is bounded by its context and, for
// the case that nobody can cancel it any more, by statementTime.
const (
	dialTime      = 3 * time.Second
	replyTime     = 3 * time.Second
	poolTime      = 4 * time.Second
	openTime      = 10 * time.Second
	statementTime = "60s"
)
