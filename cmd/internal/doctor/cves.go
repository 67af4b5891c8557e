package doctor

import (
	"fmt"
	"strconv"
	"strings"
)

// version is major, minor, patch.
type version [3]int

func parseVersion(s string) (v version, ok bool) {
	parts := strings.SplitN(s, ".", 3)
	for i, p := range parts {
		n, err := strconv.Atoi(p)
		if err != nil {
			return v, false
		}
		v[i] = n
	}
	return v, len(parts) == 3
}

func (v version) String() string { return fmt.Sprintf("%d.%d.%d", v[0], v[1], v[2]) }

func (v version) below(o version) bool {
	for i := range v {
		if v[i] != o[i] {
			return v[i] < o[i]
		}
	}
	return false
}

// A fix is a security release of Redis: what it is for, and the first version of
// each line that has it. Lines in between never got it.
type fix struct {
	what  string
	since version // older versions do not have the fault
	in    []version
}

// fixes are the security releases of Redis whose faults let a client run code of
// its own there, or (2025-21605) use up its memory, oldest first. Sources: the release notes of
// github.com/redis/redis; the pull requests 19401, 20011, 21922 and 22078 of
// github.com/docker-library/official-images; issue 115 of
// github.com/OT-CONTAINER-KIT/redis for the versions of the last two.
var fixes = []fix{
	{"CVE-2024-31449", version{2, 6, 0}, []version{{6, 2, 16}, {7, 2, 6}, {7, 4, 1}}},
	{"CVE-2024-46981", version{2, 6, 0}, []version{{6, 2, 17}, {7, 2, 7}, {7, 4, 2}}},
	{"CVE-2025-21605", version{2, 6, 0}, []version{{6, 2, 18}, {7, 2, 8}, {7, 4, 3}}},
	{"CVE-2025-32023", version{2, 8, 0}, []version{{6, 2, 19}, {7, 2, 10}, {7, 4, 5}, {8, 0, 3}}},
	{"CVE-2025-49844", version{2, 6, 0}, []version{{6, 2, 20}, {7, 2, 11}, {7, 4, 6}, {8, 0, 4}, {8, 2, 2}}},
	{"CVE-2026-23479", version{7, 2, 0}, []version{{7, 2, 14}, {7, 4, 9}, {8, 2, 6}, {8, 4, 3}, {8, 6, 3}}},
	{"the releases of July 2026", version{6, 0, 0}, []version{{6, 2, 23}, {7, 2, 15}, {7, 4, 10}, {8, 2, 8}, {8, 4, 5}, {8, 6, 5}, {8, 8, 1}}},
	{"the releases of August 2026", version{6, 0, 0}, []version{{6, 2, 24}, {7, 2, 16}, {7, 4, 11}, {8, 2, 9}, {8, 4, 6}, {8, 6, 6}, {8, 8, 2}, {8, 10, 1}}},
}

// lacking are the fixes that a version of Redis does not have by its number.
func lacking(v version) []string {
	var all []string
	for _, f := range fixes {
		if !v.below(f.since) && !f.has(v) {
			all = append(all, f.what)
		}
	}
	return all
}

// has: by its own line, or because its line began after the last one that needed it.
func (f fix) has(v version) bool {
	for _, in := range f.in {
		if in[0] == v[0] && in[1] == v[1] {
			return !v.below(in)
		}
	}
	return !v.below(f.in[len(f.in)-1])
}
