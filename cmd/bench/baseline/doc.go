// Package baseline holds what plusone is compared with: the limits of what it is
// built of, and the ways in which likes are mostly counted. Each is as good as its
// idea allows, and stores what can be counted at its end.
//
// Servers run in a process of their own (bench serve NAME): bare is fasthttp with
// a constant answer, the limit of HTTP.
package baseline
