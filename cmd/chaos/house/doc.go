// Package house is a whole plusone that can be mistreated: a private Redis and
// Postgres, the built binary in its roles, each a process of its own that is
// started again when it ends, and between every process and each store a link
// that can be cut, delayed, or made to lose replies.
//
//	api-1 ── link ──┐             Redis     (on a small disk of its own)
//	api-2 ── link ──┤
//	worker-1 ─ link ┼───────────►
//	worker-2 ─ link ┤
//	reconcile ─link ┘             Postgres  (on a small disk of its own)
//
// What it starts ends with Close, and with this process however that ends. The
// small disks are mounts; they go with Close too, and with the mount namespace
// that scripts/dev/chaos puts around everything.
package house
