package model_test

import (
	"errors"
	"fmt"
	"time"

	"pgregory.net/rapid"

	"plusone/cmd/internal/model"
	"plusone/hotpath/like"
)

// ops applies a few ops in one call.
func (m *machine) ops() {
	ops := m.genOps()
	results := m.house().apply(ops)
	for _, op := range ops {
		m.touched[op.Item] = true
	}
	m.answered(ops, results)
}

// answered compares what a call answered with the model. Of ops whose outcome is
// unknown any subset may have been applied: the one that explains what both
// stores hold now is what has happened.
func (m *machine) answered(ops []like.Op, results []like.Result) {
	var unknown []int
	for i, res := range results {
		switch {
		case res.Err == nil:
		case errors.Is(res.Err, like.ErrFrozen):
			continue
		case errors.Is(res.Err, like.ErrUnknown):
			unknown = append(unknown, i)
		case !errors.Is(res.Err, like.ErrUnavailable):
			m.Fatalf("%v: %v", ops[i], res.Err)
		}
		m.broken(res.Err)
	}
	if len(unknown) == 0 {
		if err := replay(m.w, ops, results, nil); err != nil {
			m.Fatal(err)
		}
		return
	}
	seen := m.look()
	var why []error
	for subset := range 1 << len(unknown) {
		applied := map[int]bool{}
		for bit, i := range unknown {
			applied[i] = subset>>bit&1 == 1
		}
		w := m.w.Clone()
		err := replay(w, ops, results, applied)
		if err == nil {
			err = w.Clone().Match(seen, m.touched)
		}
		if err == nil {
			m.w = w
			return
		}
		why = append(why, fmt.Errorf("%v: %w", applied, err))
	}
	m.Fatalf("no outcome of %v explains what the stores hold: %v", ops, errors.Join(why...))
}

// replay does in w the ops that were answered without an error, and those of the
// others that applied names, and compares the answers.
func replay(w *model.World, ops []like.Op, results []like.Result, applied map[int]bool) error {
	start, moves := map[string]int64{}, map[string][]move{}
	for i, op := range ops {
		res := results[i]
		frozen := errors.Is(res.Err, like.ErrFrozen)
		if res.Err != nil && !frozen && !applied[i] {
			continue
		}
		w.Verify()
		if _, has := start[op.Item]; !has {
			start[op.Item] = w.Count(op.Item)
		}
		refused := w.Refuses(op)
		if frozen != refused && (frozen || res.Err == nil) {
			return fmt.Errorf("%v is answered %+v, want it refused: %t", op, res, refused)
		}
		liked, changed := w.Do(op)
		if res.Err == nil && (res.Liked != liked || res.Changed != changed || res.Receipt.IsZero() == changed) {
			return fmt.Errorf("%v is answered %+v, want liked %t, changed %t", op, res, liked, changed)
		}
		if frozen {
			continue
		}
		mv := move{user: op.User, count: -1}
		switch {
		case changed && liked:
			mv.by = 1
		case changed:
			mv.by = -1
		}
		if res.Err == nil {
			mv.count = res.Count
		}
		moves[op.Item] = append(moves[op.Item], mv)
	}
	for item, ms := range moves {
		if !ordered(start[item], ms) {
			return fmt.Errorf("the counts of %s, from %d on: %+v fit no order", item, start[item], ms)
		}
	}
	return nil
}

// move is what an op did to its item's count; count is the answer, -1 if none came.
type move struct {
	user  string
	by    int64
	count int64
}

// ordered reports whether the counts fit an order of the moves. Ops on one pair
// keep theirs, others may overtake each other.
func ordered(count int64, left []move) bool {
	if len(left) == 0 {
		return true
	}
	began := map[string]bool{}
	for i, mv := range left {
		if began[mv.user] {
			continue
		}
		began[mv.user] = true
		if mv.count >= 0 && mv.count != count+mv.by {
			continue
		}
		rest := append(append([]move{}, left[:i]...), left[i+1:]...)
		if ordered(count+mv.by, rest) {
			return true
		}
	}
	return false
}

// read asks for a few counts.
func (m *machine) read() {
	asked := rapid.SliceOfN(rapid.SampledFrom(items), 1, 3).Draw(m.T, "items")
	user := rapid.SampledFrom(append([]string{""}, users...)).Draw(m.T, "user")
	for _, item := range asked {
		m.touched[item] = true
		if m.faulty {
			m.late[item] = true
		}
	}
	got, err := m.house().counter.Read(background, asked, user)
	m.broken(err)
	if err != nil {
		return
	}
	m.w.Verify()
	for i, item := range asked {
		if got[i].Source == like.FromCache || got[i].Unsure { // no promise, and said so
			if !m.faulty {
				m.Fatalf("%s is answered by guess: %+v", item, got[i])
			}
			continue
		}
		want := like.FromLedger
		if _, resident := m.w.Likers[item]; resident {
			want = like.FromRedis
		}
		m.w.Open(m.w.Shard(item))
		liked := user != "" && m.w.Likes(model.Pair{Item: item, User: user})
		if got[i].Item != item || got[i].Count != m.w.Count(item) || got[i].Liked != liked || got[i].Source != want && !m.late[item] {
			m.Fatalf("%s for %q is read as %+v, want %d, %t, %s", item, user, got[i], m.w.Count(item), liked, want)
		}
	}
	m.loaded(asked, user)
}

// loaded waits for what a read does behind its answer: cold items are loaded, and
// a partly resident item learns of a user it did not know.
func (m *machine) loaded(asked []string, user string) {
	door := m.r.doors[m.r.active]
	for _, item := range asked {
		if m.w.Count(item) == 0 || m.faulty {
			continue
		}
		shard := m.w.Shard(item)
		if !eventually(func() bool { return door.HExists(background, key(shard, "counts"), item).Val() }) {
			m.Fatalf("%s was read and is not loaded", item)
		}
		// That may be in vain, when something else of the shard is forgotten meanwhile.
		if it := m.seen.Items[item]; user != "" && it.Partly {
			m.late[item] = m.late[item] || !within(50*time.Millisecond, func() bool {
				is := door.SMIsMember(background, key(shard, "likers:"+item), user, "%"+user).Val()
				return len(is) == 2 && is[0] != is[1]
			})
		}
	}
}
