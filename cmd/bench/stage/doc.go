// Package stage is what a measurement runs on: a Redis and a database of its own,
// empty, and the processes that are measured, each by itself so that the CPU time
// of each is known. What it starts ends with Close, and with this process however
// that ends.
package stage
