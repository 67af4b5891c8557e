// Package load is the verifying load: clients that like, unlike, toggle and
// read over keep-alive HTTP, keep books of what they were promised, and check
// every answer against them.
package load
