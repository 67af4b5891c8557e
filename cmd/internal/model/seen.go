package model

import (
	"fmt"

	"plusone/hotpath/counter"
	"plusone/hotpath/like"
)

// SeenShard is a shard as the stores have it.
type SeenShard struct {
	Open             bool // for the present number of shards
	Entries          []Entry
	Last             like.Version
	Watermark, Floor like.Version
	Signed           like.Version
	Pinned           bool
}

// SeenItem is a resident item. Of one that is resident partly, Users and Others
// are those who are known to like it and known not to; of anybody else the ledger
// has to be asked.
type SeenItem struct {
	Count  int64
	Users  Set
	Partly bool
	Others Set
	Votes  int64 // the sum of its votes
}

// Seen is what both stores hold at one quiet moment.
type Seen struct {
	Shards  []SeenShard
	Items   map[string]SeenItem // of open shards
	Rows    map[Pair]Row
	Counts  map[string]int64 // of the ledger, by item
	Votes   map[string]int64 // of them, votes
	Repairs int              // findings ever noted
}

// Sound holds the invariants that need no model. before is what was seen a step
// ago.
func (s *Seen) Sound(before *Seen) error {
	liked, votes := map[string]int64{}, map[string]int64{}
	for pair, row := range s.Rows {
		switch {
		case row.Liked && isVote(pair):
			liked[pair.Item] += int64(row.Weight)
			votes[pair.Item] += int64(row.Weight)
		case row.Liked:
			liked[pair.Item]++
		}
		if was := before.Rows[pair].Version; row.Version < was {
			return fmt.Errorf("I5: %v went back from version %s to %s", pair, was, row.Version)
		}
	}
	for item := range merged(liked, s.Counts) {
		if s.Counts[item] != liked[item] {
			return fmt.Errorf("I1: the ledger counts %d likes of %s, its rows are %d", s.Counts[item], item, liked[item])
		}
	}
	for item := range merged(votes, s.Votes) {
		if s.Votes[item] != votes[item] {
			return fmt.Errorf("I1: the ledger says %d of the votes of %s, its rows are %d", s.Votes[item], item, votes[item])
		}
	}
	for item, it := range s.Items {
		if !it.Partly && it.Count != int64(len(it.Users))+it.Votes {
			return fmt.Errorf("I2: %s counts %d and has %d likers and votes of %d", item, it.Count, len(it.Users), it.Votes)
		}
	}
	return s.apart(liked)
}

// apart holds I6 and I7: both sides differ by what is pending, at most.
func (s *Seen) apart(liked map[string]int64) error {
	pending := map[string]int64{}
	for _, shard := range s.Shards {
		for _, e := range shard.Entries {
			if e.Version <= shard.Watermark {
				continue
			}
			for _, ch := range e.Changes {
				pending[ch.Item] += 1 + int64(ch.Weight)
			}
		}
	}
	for item, it := range s.Items {
		if apart := it.Count - liked[item]; max(apart, -apart) > pending[item] && !s.behind(item) {
			return fmt.Errorf("I6: %s has %d likes, in the ledger %d, with %d changes pending", item, it.Count, liked[item], pending[item])
		}
		if it.Count < 0 {
			return fmt.Errorf("I7: %s counts %d", item, it.Count)
		}
	}
	return nil
}

// behind reports whether an item's log has lost its end, and nobody has looked
// yet: no op can be applied to it.
func (s *Seen) behind(item string) bool {
	shard := s.Shards[counter.ShardOf(item, len(s.Shards))]
	return shard.Last < max(shard.Watermark, shard.Signed)
}

func merged[V any](maps ...map[string]V) map[string]bool {
	all := map[string]bool{}
	for _, m := range maps {
		for k := range m {
			all[k] = true
		}
	}
	return all
}
