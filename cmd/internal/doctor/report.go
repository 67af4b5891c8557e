package doctor

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Level is how bad a finding is.
type Level string

// The levels.
const (
	OK      Level = "ok"
	Warning Level = "warning"
	Wrong   Level = "wrong"
)

// Finding is what came of one check.
type Finding struct {
	Check string `json:"check"` // such as redis.eviction: a name that scripts may rely on
	Level Level  `json:"level"`
	Found string `json:"found"` // and what it means for likes, one line
	Fix   string `json:"fix,omitempty"`
}

func ok(check, found string, args ...any) Finding {
	return Finding{Check: check, Level: OK, Found: fmt.Sprintf(found, args...)}
}

func warning(check, fix, found string, args ...any) Finding {
	return Finding{Check: check, Level: Warning, Found: fmt.Sprintf(found, args...), Fix: fix}
}

func wrong(check, fix, found string, args ...any) Finding {
	return Finding{Check: check, Level: Wrong, Found: fmt.Sprintf(found, args...), Fix: fix}
}

// Report is all findings, in the order of the checks.
type Report struct {
	At       time.Time `json:"at"`
	Warnings int       `json:"warnings"`
	Wrong    int       `json:"wrong"`
	Findings []Finding `json:"findings"`
}

// add keeps findings. Texts of servers may come with line breaks.
func (r *Report) add(found ...Finding) {
	for _, f := range found {
		f.Found = strings.Join(strings.Fields(f.Found), " ")
		switch f.Level {
		case Warning:
			r.Warnings++
		case Wrong:
			r.Wrong++
		}
		r.Findings = append(r.Findings, f)
	}
}

// Write writes a line per finding and, below it, the fix.
func (r Report) Write(w io.Writer) error {
	width := 0
	for _, f := range r.Findings {
		width = max(width, len(f.Check))
	}
	var b strings.Builder
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "%-8s %-*s  %s\n", f.Level, width, f.Check, f.Found)
		if f.Fix != "" {
			fmt.Fprintf(&b, "%-8s %-*s  fix: %s\n", "", width, "", f.Fix)
		}
	}
	fmt.Fprintf(&b, "%d checks: %d wrong, %d warnings\n", len(r.Findings), r.Wrong, r.Warnings)
	_, err := io.WriteString(w, b.String())
	return err
}
