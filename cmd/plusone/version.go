package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
)

type versionCmd struct {
	JSON   bool `name:"json" help:"As JSON."`
	Assets bool `help:"Print the script tag of the like button instead, with its SRI hash."`
}

// build is what this binary was made from. Unknown is what go build was not told,
// as outside of a clone, or with -buildvcs=false.
type build struct {
	Version  string `json:"version"`
	Commit   string `json:"commit"`
	Modified bool   `json:"modified"` // beyond the commit
	Date     string `json:"date"`     // of the commit
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

const unknown = "unknown"

// Run prints the module's version, the commit it was built from, and Go's.
func (c versionCmd) Run(out io.Writer) error {
	if c.Assets {
		return showAssets(out, c.JSON)
	}
	b := thisBuild()
	if c.JSON {
		return showJSON(out, b)
	}
	commit := "commit unknown"
	if b.Commit != unknown {
		commit = fmt.Sprintf("commit %s of %s", b.Commit, b.Date)
	}
	if b.Modified {
		commit += " and changes"
	}
	_, err := fmt.Fprintf(out, "plusone %s, %s, %s, %s\n", b.Version, commit, b.Go, b.Platform)
	return err
}

func thisBuild() build {
	b := build{Version: unknown, Commit: unknown, Date: unknown, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	b.Version = info.Main.Version
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.time":
			b.Date = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}
