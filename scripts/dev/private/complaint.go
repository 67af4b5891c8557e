package private

import (
	"regexp"
	"strings"
)

// blames is where a line of a server's output begins to say what is wrong.
var blames = regexp.MustCompile(`(?:FATAL|PANIC|ERROR|error): |(?:Can't|Could not|Failed|No space) `)

// complaint is what a server that has failed says of that: the first line that
// blames something, without what stands before; else the last line.
func complaint(output string) string {
	last := "it says nothing"
	for line := range strings.Lines(output) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if at := blames.FindStringIndex(line); at != nil {
			return line[at[0]:]
		}
		last = line
	}
	return last
}
