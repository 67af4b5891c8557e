// Package partner is the participants of a run: services that must agree to every
// like, with stores of their own, which can be made to misbehave.
//
//   - articles counts the likes of each article, in Postgres (package example),
//   - points gives a point per like, in Redis (package example),
//   - fraud comes last, keeps no books, and rejects the likes of some users: then
//     the other two have to give back what they did.
package partner
