// Package load is the verifying load: clients that like, unlike, toggle and
// read over keep-alive HTTP, keep books of what they were promised, and check
// every answer against them. Beside them voters ask for the same votes again and
// again, and want some back, and greedy users like more than the quota allows.
package load
