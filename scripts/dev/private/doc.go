// Package private starts Redis and Postgres servers that belong to this process
// alone: on free loopback ports, in a directory of the caller, touching no
// server that already runs.
//
// Promises:
//   - A server that was started is ready: it answers on its URL, and it is the
//     process that was started here and no other that took the port.
//   - It lives in a process group of its own, so Ctrl-C on a terminal reaches
//     the caller only, and the caller decides about the order of the end.
//   - It ends with this process, even when that is killed with SIGKILL (Linux).
//   - What was acknowledged survives Kill: after Restart, or a new start on the
//     same directory, it is there. (PostgresOptions.FastUnsafe keeps this for
//     killed processes, not for a lost machine.)
//
// Spawn gives other children the same life.
//
// Programs that are not installed are reported as ErrMissing.
package private

import "errors"

// ErrMissing says that a server's program is not on this machine; the error
// that wraps it names the program and the Debian package which holds it.
var ErrMissing = errors.New("not installed")
