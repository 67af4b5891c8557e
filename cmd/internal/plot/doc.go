// Package plot draws charts as SVG, for pages that need nothing else. Line and bar
// number n have the class "c0" to "c7", in turn; Style gives them colours that can
// be read on light and on dark pages.
package plot
