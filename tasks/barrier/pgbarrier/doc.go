// Package pgbarrier is the barrier of a service that keeps its books in Postgres:
// a row per saga, written in the service's own transaction, so that the record and
// the work are there together or not at all.
//
// Two transactions that bring the same saga wait for each other at its row: the
// second goes on when the first has ended, and finds what it left. Rows are taken
// in the order of their sagas, so batches that share many don't deadlock. Under
// read committed, the default, nothing fails because of others; under stricter
// levels Postgres may refuse one of two (40001), which then leaves nothing.
//
// A crash, or a connection that breaks, before the commit leaves nothing; after it
// the record answers whoever asks again. A barrier row is needed for as long as a
// call of its saga may come; see [Barrier.Prune].
package pgbarrier
