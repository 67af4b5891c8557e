package model

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// Book is what one client knows of its pairs. It is for one goroutine.
type Book struct {
	pairs map[Pair]*state
	items map[string][]*state // of items that no other client touches
	own   func(item string) bool
}

// NewBook opens a book. own tells which items no other client touches: their
// counts are checked at every answer.
func NewBook(own func(item string) bool) *Book {
	return &Book{pairs: map[Pair]*state{}, items: map[string][]*state{}, own: own}
}

// Wrong is a broken promise.
type Wrong struct {
	At      time.Time
	Kind    Kind
	Pair    Pair   // User is empty when it is about an item's count
	What    string // in words
	History []string
}

func (w Wrong) String() string {
	return fmt.Sprintf("%s: %s %s: %s", w.Kind, w.Pair.Item, w.Pair.User, w.What)
}

// Kind sorts broken promises.
type Kind string

// The kinds. Lost is an acknowledged op without effect; Wrong everything else:
// a false answer, a count that is not its rows, a like that nobody made.
const (
	KindLost  Kind = "lost"
	KindWrong Kind = "wrong"
)

func (b *Book) state(p Pair) *state {
	s := b.pairs[p]
	if s == nil {
		s = &state{}
		b.pairs[p] = s
		if b.own(p.Item) {
			b.items[p.Item] = append(b.items[p.Item], s)
		}
	}
	return s
}

// Next turns what a client would like to do on a pair into what it may do now.
// epoch is how many calms there have been. It returns ok false when the pair
// must be left alone.
func (b *Book) Next(p Pair, wanted Do, epoch int) (do Do, ok bool) {
	s := b.state(p)
	if s.open == repeated && epoch > s.epoch {
		s.open = known
	}
	switch {
	case s.open == known:
		return wanted, true
	case s.open == flipping:
		return Look, epoch > s.epoch
	case wanted == Look && s.open == repeated:
		return Look, true
	default:
		return wishFor(s.wish), true
	}
}

func wishFor(liked bool) Do {
	if liked {
		return Like
	}
	return Unlike
}

// Record enters the answer to a request on a pair; epoch is how many calms
// there had been when the answer came. It returns the promise that the answer
// breaks, or nil.
func (b *Book) Record(p Pair, do Do, a Answer, epoch int) *Wrong {
	s := b.state(p)
	s.note(Event{do, a})
	what := ""
	switch {
	case a.Outcome == Unknown && do != Look:
		s.lose(do, epoch)
	case a.Outcome != Acked:
	case do == Look:
		what = s.read(a, epoch)
	default:
		what = s.acked(do, a, epoch)
	}
	if what == "" && a.Outcome == Acked {
		what = b.miscounted(p, a, epoch)
	}
	if what == "" {
		return nil
	}
	s.liked = a.Liked // one broken promise is told once
	return &Wrong{At: a.At, Kind: KindWrong, Pair: p, What: what, History: s.lines()}
}

// lose: nobody knows what became of an op.
func (s *state) lose(do Do, epoch int) {
	s.epoch = epoch
	if do == Toggle {
		s.open = flipping
		return
	}
	if s.open == repeated {
		return // the state is known, this was one repetition more
	}
	s.open, s.wish = repeating, do.wish()
}

// read checks a reading. What was read from Redis is as durable as an
// acknowledgement: it came behind it.
func (s *state) read(a Answer, epoch int) string {
	if a.behind() || s.away(epoch) {
		return ""
	}
	if !s.mayRead(a.Liked) {
		return fmt.Sprintf("read liked=%v, acknowledged was %v", a.Liked, s.liked)
	}
	switch {
	case s.open == flipping && epoch > s.epoch:
		s.liked, s.open = a.Liked, known
	case s.open == repeating && a.Liked == s.wish:
		s.liked, s.open = s.wish, repeated
	}
	return ""
}

// acked checks an acknowledged op. What went to the ledger, or comes after such
// an op, may have met another state than the last acknowledged one.
func (s *state) acked(do Do, a Answer, epoch int) (what string) {
	want, sure := do.wish(), !a.Ledger && !s.away(epoch)
	if do == Toggle {
		want = !s.liked
	}
	switch {
	case a.Liked != want && (do != Toggle || sure):
		what = fmt.Sprintf("%s answers liked=%v, before it was %v", do, a.Liked, s.liked)
	case sure && s.open != repeating && a.Changed != (s.liked != want):
		what = fmt.Sprintf("%s answers changed=%v, before it was %v", do, a.Changed, s.liked)
	}
	s.liked, s.ackedAt = a.Liked, a.At
	if a.Receipt != "" {
		s.receipt = a.Receipt
	}
	if s.open == repeating {
		s.open = repeated
	}
	if a.Ledger {
		s.elsewhere = epoch + 1
	}
	return what
}

// away reports whether the pair's last change may not have reached Redis yet.
func (s *state) away(epoch int) bool { return s.elsewhere > epoch }

// miscounted checks the count of an item whose pairs are all known.
func (b *Book) miscounted(p Pair, a Answer, epoch int) string {
	if !b.own(p.Item) || a.behind() {
		return ""
	}
	var n int64
	for _, s := range b.items[p.Item] {
		if s.open == repeating || s.open == flipping || s.away(epoch) {
			return ""
		}
		if s.liked {
			n++
		}
	}
	if n != a.Count {
		return fmt.Sprintf("count is %d, %d pairs are liked", a.Count, n)
	}
	return ""
}

func (s *state) lines() []string {
	lines := make([]string, len(s.history))
	for i, e := range s.history {
		lines[i] = e.String()
	}
	return lines
}

// Unsettled lists the pairs whose state is not known, in a fixed order. Once
// nothing is on its way any more, Next says for each how to learn it.
func (b *Book) Unsettled() []Pair {
	var open []Pair
	for p, s := range b.pairs {
		if s.open == repeating || s.open == flipping {
			open = append(open, p)
		}
	}
	slices.SortFunc(open, comparePairs)
	return open
}

// Pairs lists all pairs in a fixed order.
func (b *Book) Pairs() []Pair { return slices.SortedFunc(maps.Keys(b.pairs), comparePairs) }
