package counter

import (
	"context"
	"fmt"
	"strings"
)

// learner asks the ledger about users of whom a partly resident item knows
// nothing, many at once, and lets the item remember the answers. It has one
// goroutine, beside the warmer's: a look-up never waits for a load.
//
// An answer may be remembered as long as nothing was forgotten since before the
// ledger was asked. Until then the user was unknown all the time, so no op on the
// pair went through, and those from before are in the ledger: an item forgets
// nobody whom the log still names.
type learner struct {
	*warmer
	queue *queue[errand]
}

func newLearner(w *warmer) *learner {
	return &learner{warmer: w, queue: newQueue[errand](w.c.opt.QueueSize)}
}

func (l *learner) run() {
	for {
		errands, ok := l.queue.take(maxErrands)
		if !ok {
			return
		}
		l.do(errands)
		l.queue.give(errands, false)
	}
}

func (l *learner) do(errands []errand) {
	if l.elsewhere(errands) {
		return
	}
	ctx, cancel := context.WithTimeout(l.c.life, l.c.opt.LoadTime)
	defer cancel()
	if l.room(ctx, errands) {
		l.end(errands, l.learn(ctx, errands))
	}
}

// learn asks for all errands in one query. Errands whose answer could not be
// remembered will be back: the next try finds out.
func (l *learner) learn(ctx context.Context, errands []errand) error {
	lessons, err := l.begin(ctx, errands)
	if err != nil {
		return fmt.Errorf("look up likers: %w", err)
	}
	items, users := make([]string, len(errands)), make([]string, len(errands))
	for i, e := range errands {
		items[i], users[i] = e.item, e.user
	}
	known, err := l.c.src.Counts(ctx, items, users)
	if err != nil {
		return fmt.Errorf("look up likers: %w", err)
	}
	for i, e := range errands {
		lessons[e.shard].add(e, known[i].Liked)
	}
	for _, s := range lessons {
		if err := learnScript.run(ctx, l.c.plain, s.keys, s.args()...).Err(); err != nil {
			return fmt.Errorf("remember likers: %w", err)
		}
	}
	l.c.meter.lookups.Add(float64(len(errands)))
	return nil
}

// lesson is one call of learn.lua.
type lesson struct {
	likers      string // prefix of the sets' names
	gen, forgot any    // before the ledger was asked
	keys        []string
	letters     strings.Builder
	users       []any
}

// begin starts a lesson for each shard that the errands are about.
func (l *learner) begin(ctx context.Context, errands []errand) (map[int]*lesson, error) {
	lessons := make(map[int]*lesson)
	for _, e := range errands {
		if lessons[e.shard] != nil {
			continue
		}
		k := &l.c.keys[e.shard]
		was, err := l.c.plain.HMGet(ctx, k.meta, "gen", "forgot").Result()
		if err != nil {
			return nil, err
		}
		lessons[e.shard] = &lesson{likers: k.likers, gen: orEmpty(was[0]), forgot: orEmpty(was[1]), keys: []string{k.meta}}
	}
	return lessons, nil
}

func orEmpty(v any) any {
	if v == nil {
		return ""
	}
	return v
}

func (s *lesson) add(e errand, liked bool) {
	s.keys = append(s.keys, s.likers+e.item)
	s.users = append(s.users, e.user)
	if liked {
		s.letters.WriteByte('1')
	} else {
		s.letters.WriteByte('0')
	}
}

func (s *lesson) args() []any {
	return append([]any{s.gen, s.forgot, s.letters.String()}, s.users...)
}
