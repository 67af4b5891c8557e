package settings

import (
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// maxSlips is how many wrong letters a name may have and still be known.
const maxSlips = 2

// UnknownVariables names the PLUSONE_ variables among environ (NAME=value) that set
// nothing, each with the one that may be meant, "" if there is none like it.
func UnknownVariables(app *kong.Application, environ []string) map[string]string {
	variables := map[string]bool{}
	for flag := range flagsOf(app) {
		variables[Variable(flag)] = true
	}
	unknown := map[string]string{}
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		if value != "" && strings.HasPrefix(name, Variable("")) && !variables[name] {
			unknown[name] = nearest(name, variables)
		}
	}
	return unknown
}

// flagsOf are the names of all flags of all commands.
func flagsOf(app *kong.Application) map[string]bool {
	known := map[string]bool{}
	_ = kong.Visit(app, func(node kong.Visitable, next kong.Next) error { // the visitor has no errors
		if f, ok := node.(*kong.Flag); ok {
			known[f.Name] = true
		}
		return next(nil)
	})
	return known
}

// nearest is the known name that is at most maxSlips away, the first of them by
// the alphabet, "" if there is none.
func nearest(name string, known map[string]bool) string {
	best, least := "", maxSlips+1
	for k := range known {
		if d := slips(name, k); d < least || d == least && k < best {
			best, least = k, d
		}
	}
	if least > maxSlips {
		return ""
	}
	return best
}

// slips counts the letters that are missing, too many, other or swapped with their
// neighbour between a and b (optimal string alignment).
func slips(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			other := 1
			if a[i-1] == b[j-1] {
				other = 0
			}
			rows[i][j] = slices.Min([]int{rows[i-1][j] + 1, rows[i][j-1] + 1, rows[i-1][j-1] + other})
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
