package model

import "strings"

// Take moves what is about items with a prefix out of s.
func (s *Stored) Take(prefix string) Stored {
	out := Stored{Rows: map[Pair]Row{}, LedgerCounts: map[string]int64{}, Resident: map[string]ResidentItem{}}
	for p, row := range s.Rows {
		if strings.HasPrefix(p.Item, prefix) {
			out.Rows[p] = row
			delete(s.Rows, p)
		}
	}
	for item, n := range s.LedgerCounts {
		if strings.HasPrefix(item, prefix) {
			out.LedgerCounts[item] = n
			delete(s.LedgerCounts, item)
		}
	}
	for item, r := range s.Resident {
		if strings.HasPrefix(item, prefix) {
			out.Resident[item] = r
			delete(s.Resident, item)
		}
	}
	return out
}
