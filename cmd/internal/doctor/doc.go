// Package doctor looks at the stores and settings that plusone is given and says
// what its promises are worth there: one finding per check, with the fix.
//
// Its promises:
//
//   - It changes nothing, in neither store.
//   - It comes to an end: each question to a store has 5 seconds. A store that is
//     away is a finding, and the rest is still checked.
//   - What it could not look at is never taken for fine: it is a warning that says
//     how to look by hand.
//   - Its findings hold no password and no key.
//
// Wrong is what loses likes, counts them wrongly, keeps plusone from working or
// lets strangers like in somebody's name. A warning is what weakens a promise,
// or leads to something wrong unless somebody acts.
package doctor
