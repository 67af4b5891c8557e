// Package load puts requests on an HTTP server, cheaply enough not to be what
// is measured, and remembers what it was promised.
//
// One thread waits with epoll for all of its connections; each has one request
// in flight. Requests are bytes made once, of which only the digits of item and
// user change. Of an answer it reads status and length, and of a bulk answer how
// many ops changed something. Beside a server that answers a constant this costs
// 11.4 µs a request, nine tenths of it the kernel's; a goroutine per connection
// costs 13.4, wrk 13 to 17.
//
// Closed loop: a connection sends its next request when it has its answer.
// Open loop: requests fall due at a fixed rate, whatever the server does; one
// that finds no free connection waits, and its latency counts from when it was
// due. So a server that stalls can't hide it.
//
// At its end a load sends nothing more and waits for what is under way: what it
// then calls acknowledged must be stored, and what is stored beyond that must be
// among the unknown.
package load
