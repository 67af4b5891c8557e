// Package report keeps what happened during a run, moment by moment, and tells
// it: as a table, as JSON, and as a page with the timeline as a plot.
package report
