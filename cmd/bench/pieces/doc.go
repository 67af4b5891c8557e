// Package pieces holds what is measured, one by one: a piece opens an empty stage,
// puts one load on it, and ends by counting what is stored. Goals compare the
// figures of two pieces of the same round.
//
// A piece whose count is wrong has no figures: its error wraps ErrWrong.
package pieces

import "errors"

// ErrWrong: what is stored is not what was acknowledged.
var ErrWrong = errors.New("WRONG")
