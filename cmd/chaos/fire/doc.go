// Package fire knows the faults: how each is made and ended, which of them this
// machine can have, and in which order a seed brings them.
package fire
