// Package like is the vocabulary of plusone: what an id, an op, a version, a
// receipt and a reading are, and which errors all parts share. It does no I/O,
// keeps no state and imports the standard library only, so that every other
// package may import it.
package like
