package model

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"plusone/hotpath/like"
)

// Match compares the world with what was seen. It takes over what only Redis
// decides: the versions of fresh changes, which drained entries are trimmed,
// and which of the touched items are resident by now.
//
// After an error the world is of no use any more.
func (w *World) Match(s *Seen, touched Set) error {
	if len(s.Shards) != w.Shards {
		return fmt.Errorf("%d shards instead of %d", len(s.Shards), w.Shards)
	}
	for n, l := range w.Logs {
		if err := w.matchShard(n, l, &s.Shards[n], touched); err != nil {
			return fmt.Errorf("shard %d: %w", n, err)
		}
	}
	return errors.Join(w.matchItems(s, touched), w.matchRows(s))
}

func (w *World) matchShard(n int, l *Log, s *SeenShard, touched Set) error {
	if l.Open && l.Behind() && (!s.Open || s.Last > l.End()) { // whoever looks closes it
		w.Close(n)
	}
	if s.Open && !l.Open && w.touches(n, touched) { // by an op that failed later
		w.Open(n)
	}
	switch {
	case s.Open != l.Open:
		return fmt.Errorf("open: %t, want %t", s.Open, l.Open)
	case s.Watermark != l.Watermark || s.Floor != l.Floor || s.Signed != l.Signed:
		return fmt.Errorf("watermark %s, floor %s and mark %s, want %s, %s and %s",
			s.Watermark, s.Floor, s.Signed, l.Watermark, l.Floor, l.Signed)
	}
	grown, err := l.matchOld(s)
	if err != nil {
		return err
	}
	return l.matchNew(grown, s)
}

func (w *World) touches(shard int, touched Set) bool {
	return slices.ContainsFunc(slices.Collect(maps.Keys(touched)), func(item string) bool { return w.Shard(item) == shard })
}

// matchOld compares the entries that were known and returns those that are new.
// Missing may be the oldest, and only what the ledger has.
func (l *Log) matchOld(s *SeenShard) ([]Entry, error) {
	known, grown := s.Entries, []Entry(nil)
	if i := slices.IndexFunc(s.Entries, func(e Entry) bool { return e.Version > l.Last }); i >= 0 {
		known, grown = s.Entries[:i], s.Entries[i:]
	}
	gone := len(l.Entries) - len(known)
	if gone < 0 || !slices.EqualFunc(l.Entries[gone:], known, sameEntry) {
		return nil, fmt.Errorf("the log holds %v, want the end of %v", known, l.Entries)
	}
	if gone > 0 && l.Entries[gone-1].Version > l.Watermark {
		return nil, fmt.Errorf("entry %s is trimmed, the watermark is %s", l.Entries[gone-1].Version, l.Watermark)
	}
	l.Entries = slices.Clone(known)
	return grown, nil
}

func sameEntry(a, b Entry) bool { return a.Version == b.Version && slices.Equal(a.Changes, b.Changes) }

// matchNew takes new entries over: they name the fresh changes, those of one pair
// in their order.
func (l *Log) matchNew(grown []Entry, s *SeenShard) error {
	var made []like.Change
	for _, e := range grown {
		if e.Version <= l.Floor {
			return fmt.Errorf("I5: the new entry %s is not above the floor %s", e.Version, l.Floor)
		}
		for _, ch := range e.Changes {
			ch.Version = 0
			made = append(made, ch)
		}
	}
	if !slices.Equal(byPair(made), byPair(l.Fresh)) {
		return fmt.Errorf("I4: the log names the new changes %v, want %v", made, l.Fresh)
	}
	l.Entries = append(l.Entries, grown...)
	l.Fresh = nil
	if n := len(l.Entries); n > 0 {
		l.Last = max(l.Last, l.Entries[n-1].Version)
	}
	if l.Last != s.Last {
		return fmt.Errorf("the log's last id is %s, want %s", s.Last, l.Last)
	}
	return nil
}

func byPair(changes []like.Change) []like.Change {
	changes = slices.Clone(changes)
	slices.SortStableFunc(changes, func(a, b like.Change) int {
		return slices.Compare([]string{a.Item, a.User}, []string{b.Item, b.User})
	})
	return changes
}

// matchItems compares resident items. A touched item may have become resident;
// then it holds what the ledger has.
func (w *World) matchItems(s *Seen, touched Set) error {
	for item, it := range s.Items {
		if _, resident := w.Likers[item]; !resident && touched[item] {
			w.Touch(item)
		}
		want, resident := w.Likers[item]
		if !resident {
			return fmt.Errorf("%s is resident and nobody asked for it", item)
		}
		if err := w.MatchUsers(item, it, want); err != nil {
			return fmt.Errorf("%s: %w", item, err)
		}
	}
	for item := range w.Likers {
		if _, resident := s.Items[item]; !resident {
			return fmt.Errorf("%s is not resident any more", item)
		}
	}
	return nil
}

// MatchUsers compares an item's set. What is not known of a partly resident item
// must be in the ledger.
func (w *World) MatchUsers(item string, it SeenItem, want Set) error {
	if votes := w.Votes(item); it.Votes != votes && !w.LogOf(item).Behind() {
		return fmt.Errorf("its votes are %d, want %d", it.Votes, votes)
	}
	if !it.Partly {
		if !maps.Equal(it.Users, want) {
			return fmt.Errorf("its set is %v, want %v", it.Users, want)
		}
		return nil
	}
	stored := w.Stored(item)
	for user := range merged(want, stored, it.Users, it.Others) {
		switch {
		case it.Users[user] && !want[user], it.Others[user] && want[user]:
			return fmt.Errorf("%s is known to like it: %t, want %t", user, it.Users[user], want[user])
		case it.Users[user] || it.Others[user] || w.LogOf(item).Behind():
		case stored[user] != want[user]:
			return fmt.Errorf("the ledger would be asked about %s, and say %t, want %t", user, stored[user], want[user])
		}
	}
	if it.Count != int64(len(want))+it.Votes {
		return fmt.Errorf("it counts %d, want %v", it.Count, want)
	}
	return nil
}

func (w *World) matchRows(s *Seen) error {
	for pair, row := range w.Rows {
		if s.Rows[pair] != row {
			return fmt.Errorf("the ledger has %v of %v, want %v", s.Rows[pair], pair, row)
		}
	}
	if len(s.Rows) != len(w.Rows) {
		return fmt.Errorf("the ledger has %d rows, want %d", len(s.Rows), len(w.Rows))
	}
	return nil
}
