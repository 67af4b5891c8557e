// Package redisbarrier is the barrier of a service that keeps its books in Redis:
// a key per saga, looked at and written by the script that does the service's
// work, so that nothing comes between the two.
//
// The service gives two pieces of Lua, its try and its compensate, and names the
// keys that an op touches. The barrier's script runs them per op and answers. What
// it asks of them, because a script that fails is not rolled back:
//
//   - First look, then write: what may reject or fail comes before the first write.
//   - After the first write nothing fails. Where two keys are written, look at the
//     type of the second before writing the first.
//   - An error before the first write (or by it) leaves nothing: the op is answered
//     with retry, the others of its batch go on.
//
// The keys of an op are on one slot, by a hash tag or as one key; the record joins
// them there, as {<tag>}barrier:<participant>:<saga>. Ops of the same tag go in
// one call, calls go in one pipeline: a batch is one round trip, or two when a
// server does not know the script yet. A call without an answer may have run: its
// ops are answered with retry, and the records answer whoever repeats them, the
// Redis client included.
//
// Records are forgotten after a time that must be longer than plusone may still
// call. They must not be evicted: Redis must run noeviction. They are as durable
// as the work, for they are in the same script's effects: a crash keeps or loses
// both.
package redisbarrier
