package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/user"
	"strings"
	"text/tabwriter"
	"time"

	"plusone/tasks/ledger"
)

// act is who acts, and why.
type act struct {
	Reason string `required:"" help:"Why; it is kept."`
	By     string `help:"Who; the user of this system, if it is not given." placeholder:"NAME"`
}

func (a act) by() (ledger.By, error) {
	if strings.TrimSpace(a.Reason) == "" {
		return ledger.By{}, usage("--reason must say something")
	}
	return ledger.By{Who: cmp.Or(a.By, thisUser()), Reason: a.Reason}, nil
}

// thisUser is who runs this, as far as the system knows a name.
func thisUser() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return fmt.Sprintf("uid %d", os.Getuid())
}

// page is what every list has.
type page struct {
	After string `help:"Only those behind this one: the next page." placeholder:"ID"`
	Limit int    `help:"How many." default:"50"`
	JSON  bool   `name:"json" help:"As JSON."`
}

// showActs writes a line per act.
func showActs(w io.Writer, acts []ledger.Act) {
	for _, a := range acts {
		_, _ = fmt.Fprintf(w, "%s\t%s by %s, when it was %s: %s\n", a.At.UTC().Format(time.RFC3339), a.Act, a.Who, a.State, a.Reason)
	}
}

// show writes document as JSON, or what lines writes, in columns; when that is
// nothing it says so.
func show(out io.Writer, asJSON bool, document any, lines func(io.Writer)) error {
	if asJSON {
		return showJSON(out, document)
	}
	var text bytes.Buffer
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	lines(w)
	_ = w.Flush() // into memory
	if text.Len() == 0 {
		_, _ = fmt.Fprintln(os.Stderr, "There are none.") // not among what a program counts
	}
	_, err := text.WriteTo(out)
	return err
}

func showJSON(out io.Writer, v any) error {
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
