package counter

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"plusone/hotpath/like"
)

// The text of a log entry, field d: a line per item, `item +user -user …`; the
// signs say liked and not liked. Ids hold neither spaces nor line ends, nor a "%",
// which tells a vote: `item +%weight%ref`, and - for one that was given back. Markers
// have a field m instead.
const (
	fieldData = "d"
	fieldMark = "m"
)

// parseEntry reads an entry; what can't be read of it is told by Bad.
func parseEntry(m redis.XMessage) Entry {
	v, err := like.ParseVersion(m.ID)
	if err != nil {
		// Only a foreign hand gives such an id. Its place is the next version that
		// there is, so that whoever reads on passes it.
		ms, _, _ := strings.Cut(m.ID, "-")
		v, _ = like.ParseVersion(ms + "-" + strconv.Itoa(like.MaxSeq))
		return Entry{Version: v.Next(), Bad: err}
	}
	e := Entry{Version: v}
	text, ok := m.Values[fieldData].(string)
	if !ok {
		if _, marker := m.Values[fieldMark]; !marker {
			e.Bad = fmt.Errorf("log entry %s has neither field d nor field m", m.ID)
		}
		return e
	}
	n := 0
	for line := range strings.SplitSeq(text, "\n") {
		changes, err := parseLine(e.Changes, line, v)
		if n++; err != nil {
			e.Bad = fmt.Errorf("log entry %s, line %d: %w", m.ID, n, err)
		}
		e.Changes = changes
	}
	return e
}

// parseLine appends the changes of one line. Its errors quote nothing of it: they
// are logged and kept.
func parseLine(changes []like.Change, line string, v like.Version) ([]like.Change, error) {
	item, rest, ok := strings.Cut(line, " ")
	if !ok || item == "" {
		return changes, errors.New("it names no item and user")
	}
	n := 0
	for word := range strings.SplitSeq(rest, " ") {
		if n++; len(word) < 2 || word[0] != '+' && word[0] != '-' {
			return changes, fmt.Errorf("word %d behind the item is no user with a sign", n)
		}
		ch := like.Change{Item: item, User: word[1:], Liked: word[0] == '+', Version: v}
		if word[1] == '%' && !readVote(&ch) {
			return changes, fmt.Errorf("word %d behind the item is no vote", n)
		}
		changes = append(changes, ch)
	}
	return changes, nil
}

// readVote takes apart what stands for a vote: %weight%ref.
func readVote(ch *like.Change) bool {
	weight, ref, ok := strings.Cut(ch.User[1:], "%")
	n, err := strconv.ParseInt(weight, 10, 32)
	if !ok || err != nil || n < 0 || n > like.MaxWeight || like.CheckUser(ref) != nil {
		return false
	}
	ch.User, ch.Weight = like.VoteUser(ref), int32(n)
	return true
}
