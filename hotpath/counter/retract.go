package counter

import (
	"context"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"plusone/hotpath/like"
)

// Retracted tells what came of a Retract.
type Retracted string

// The outcomes of Retract.
const (
	RetractDone    Retracted = "done"    // the log says the opposite now
	RetractNewer   Retracted = "newer"   // an entry that the ledger lacks names the pair
	RetractCold    Retracted = "cold"    // Redis has to load the item first
	RetractUnknown Retracted = "unknown" // Redis has to learn of the user first
	RetractClosed  Retracted = "closed"  // the shard has to be opened first
	retractMany    Retracted = "many"    // the log has to be looked at first
	RetractDamaged Retracted = "damaged" // what Redis has of the item can't be read: the reconciler mends it
)

// Retract takes back a change that the ledger has, by one that goes through the
// log like any other, unless an entry above after names the pair; entries up to
// there are in the ledger. To repeat it is harmless: it finds its own entry.
//
// The ledger must not get past entries that name the pair meanwhile, or they are
// gone before they are looked at. A mark that is not empty lets WasRetracted know.
// Errors: like.ErrUnavailable.
func (l *Log) Retract(ctx context.Context, shard int, ch like.Change, after like.Version, mark string) (Retracted, error) {
	state, _, err := l.retract(ctx, shard, ch, after, "", mark)
	return state, err
}

func (l *Log) retract(ctx context.Context, shard int, ch like.Change, after like.Version, owner, mark string) (Retracted, like.Version, error) {
	from := after.Next()
	for {
		names, args := l.retraction(shard, ch, from, owner)
		if mark != "" {
			names = append(names, l.keys[shard].back+mark)
		}
		state, id, err := retracted(retractScript.run(ctx, l.rdb, names, args...))
		if err != nil {
			return "", 0, fmt.Errorf("retract a change in shard %d: %w", shard, err)
		}
		if state != retractMany {
			return state, id, nil
		}
		named, end, err := l.names(ctx, shard, from, ch.Item, ch.User)
		switch {
		case err != nil:
			return "", 0, err
		case named:
			return RetractNewer, 0, nil
		}
		from = end
	}
}

// WasRetracted reports whether it was a Retract with this mark, within the last day,
// that has changed a pair of the shard. Errors: like.ErrUnavailable.
func (l *Log) WasRetracted(ctx context.Context, shard int, mark string) (bool, error) {
	n, err := l.rdb.Exists(ctx, l.keys[shard].back+mark).Result()
	if err != nil {
		return false, fmt.Errorf("look for a change that was taken back in shard %d: %w", shard, unavailable(err))
	}
	return n == 1, nil
}

// GiveBack gives a user the unit of the quota back that a change of that version has
// used, unless its window is over, or a call with the same mark was here. Errors:
// like.ErrUnavailable; then repeat it.
func (l *Log) GiveBack(ctx context.Context, user string, v like.Version, mark string) error {
	k := &l.keys[ShardOf(user, len(l.keys))]
	err := giveScript.run(ctx, l.rdb, []string{k.quota}, user, v.Time().UnixMilli(), "%"+mark).Err()
	if err != nil {
		return fmt.Errorf("give a unit of a quota back: %w", unavailable(err))
	}
	return nil
}

// retraction is one call of retract.lua.
func (l *Log) retraction(shard int, ch like.Change, from like.Version, owner string) (names []string, args []any) {
	k := &l.keys[shard]
	liked := 0
	if ch.Liked {
		liked = 1
	}
	return []string{k.meta, k.counts, k.log, k.likers + ch.Item, k.marks},
		[]any{len(l.keys), ch.Item, ch.User, liked, from.String(), owner}
}

// retracted reads its answer.
func retracted(cmd *redis.Cmd) (Retracted, like.Version, error) {
	reply, err := cmd.StringSlice()
	switch {
	case err != nil:
		return "", 0, unavailable(err)
	case len(reply) != 2:
		return Retracted(reply[0]), 0, nil
	}
	id, err := like.ParseVersion(reply[1])
	return Retracted(reply[0]), id, err
}

// Retraction is a change of a shard that RetractAll takes back.
type Retraction struct {
	Shard  int
	Change like.Change
	After  like.Version
}

// RetractAll is Retract for many changes in one exchange, and marks what it does as
// owner's. The versions are those of the new entries, zero for what was not done.
// After an error any of them may have been done: Marks tells.
func (l *Log) RetractAll(ctx context.Context, all []Retraction, owner string) (states []Retracted, ids []like.Version, err error) {
	states, ids = make([]Retracted, len(all)), make([]like.Version, len(all))
	cmds := make([]*redis.Cmd, len(all))
	pipe := l.rdb.Pipeline()
	for i, r := range all {
		names, args := l.retraction(r.Shard, r.Change, r.After.Next(), owner)
		cmds[i] = pipe.EvalSha(ctx, retractScript.sha, names, args...)
	}
	_, _ = pipe.Exec(ctx) // each answer has its own error
	for i, r := range all {
		if states[i], ids[i], err = retracted(cmds[i]); unknownScript(cmds[i].Err()) || states[i] == retractMany {
			states[i], ids[i], err = l.retract(ctx, r.Shard, r.Change, r.After, owner, "")
		}
		if err != nil {
			return nil, nil, fmt.Errorf("retract changes: %w", err)
		}
	}
	return states, ids, nil
}

// Mark is a change that RetractAll has made: ID is that of its entry.
type Mark struct {
	Shard      int
	Item, User string
	Owner      string
	ID         like.Version
}

// Marks returns the marks that are there, of any owner. Who has kept what they tell
// drops them with Unmark.
func (l *Log) Marks(ctx context.Context) (marks []Mark, err error) {
	for shard := range l.keys {
		fields, err := l.rdb.HGetAll(ctx, l.keys[shard].marks).Result()
		if err != nil {
			return nil, fmt.Errorf("read the marks of shard %d: %w", shard, unavailable(err))
		}
		for field, value := range fields {
			m := Mark{Shard: shard}
			var id string
			m.Item, m.User, _ = strings.Cut(field, " ")
			if at := strings.LastIndexByte(value, ' '); at >= 0 {
				m.Owner, id = value[:at], value[at+1:]
			}
			if m.ID, err = like.ParseVersion(id); err != nil {
				return nil, fmt.Errorf("read the marks of shard %d: %w", shard, err)
			}
			marks = append(marks, m)
		}
	}
	return marks, nil
}

// Unmark drops marks.
func (l *Log) Unmark(ctx context.Context, marks []Mark) error {
	byShard := map[int][]string{}
	for _, m := range marks {
		byShard[m.Shard] = append(byShard[m.Shard], m.Item+" "+m.User)
	}
	for shard, fields := range byShard {
		if err := l.rdb.HDel(ctx, l.keys[shard].marks, fields...).Err(); err != nil {
			return fmt.Errorf("drop marks of shard %d: %w", shard, unavailable(err))
		}
	}
	return nil
}

// Writable is nil while changes go to Redis. Otherwise it wraps like.ErrElsewhere
// or like.ErrUnavailable.
func (l *Log) Writable(ctx context.Context) error { return l.fence.Err(ctx) }
