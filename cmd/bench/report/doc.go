// Package report tells what a bench came to: as a table, as JSON, and as a page
// with plots that needs nothing else.
package report
