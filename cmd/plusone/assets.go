package main

import (
	"fmt"
	"io"

	"plusone/hotpath/ui"
)

// asset is a file that the API serves to pages.
type asset struct {
	Path      string `json:"path"` // follows the version that runs
	Pinned    string `json:"pinned_path"`
	Integrity string `json:"integrity"`
	Bytes     int    `json:"bytes"`
	Gzipped   int    `json:"gzipped_bytes"`
}

// showAssets prints what pages load, and the tag that pins it.
func showAssets(out io.Writer, asJSON bool) error {
	f := ui.LikeButton()
	a := asset{
		Path: "/v1/like-button.js", Pinned: "/v1/like-button." + f.Hash + ".js",
		Integrity: f.Integrity, Bytes: len(f.Body), Gzipped: len(f.Gzip),
	}
	if asJSON {
		return showJSON(out, []asset{a})
	}
	_, err := fmt.Fprintf(out, `%s, %d bytes, %d gzipped. Put the API's address before it:

  <script src="%s" defer></script>

or, for exactly this script and no other:

  <script src="%s"
          integrity="%s"
          crossorigin="anonymous" defer></script>
`, a.Path, a.Bytes, a.Gzipped, a.Path, a.Pinned, a.Integrity)
	return err
}
