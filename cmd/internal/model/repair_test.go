package model_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"plusone/cmd/internal/model"
	"plusone/reconcile"
)

// reconcile compares both sides. There is nothing to be found.
func (m *machine) reconcile() {
	if !m.faulty {
		m.drainAll()
	}
	m.expect()
}

// expect runs a pass, which must find this and nothing else.
func (m *machine) expect(want ...string) {
	m.now = nil
	rep, err := m.house().reconciler.Once(background, false)
	m.broken(err)
	var got []string
	for _, d := range rep.Drifts {
		got = append(got, fmt.Sprintf("%s: %s %s", d.Cause, d.Item, d.User))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		m.Fatalf("found:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	m.repairs += len(want)
}

func (m *machine) drainAll() {
	for shard, l := range m.w.Logs {
		if len(l.Pending()) > 0 {
			m.drainShard(shard)
		}
	}
}

// damage spoils a few pairs and counts of resident items by hand, has them
// repaired, and has a second look, which finds nothing.
func (m *machine) damage() {
	m.drainAll()
	m.check()
	resident := slices.DeleteFunc(slices.Sorted(maps.Keys(m.w.Likers)), func(item string) bool { return m.w.LogOf(item).Behind() })
	if len(resident) == 0 {
		m.Skip("nothing to damage")
	}
	var want []string
	for _, item := range rapid.SliceOfNDistinct(rapid.SampledFrom(resident), 1, min(3, len(resident)), rapid.ID[string]).Draw(m.T, "damaged") {
		want = append(want, m.spoil(item)...)
	}
	// What was lost by hand is no part of any promise about old copies and late
	// deliveries.
	m.copies, m.past = nil, nil
	m.expect(want...)
	m.check()
	m.drainAll()
	m.check()
	m.expect()
}

// spoil damages one item and returns what is to be found.
func (m *machine) spoil(item string) (found []string) {
	user := rapid.SampledFrom(users).Draw(m.T, "user")
	p := model.Pair{Item: item, User: user}
	likes, row := m.w.Likes(p), m.w.Rows[p]
	shard := m.w.Shard(item)
	door, set, counts := m.r.doors[m.r.active], key(shard, "likers:"+item), key(shard, "counts")
	pair := func(cause string) string { return fmt.Sprintf("%s: %s %s", cause, item, user) }
	count := fmt.Sprintf("%s: %s ", reconcile.CauseSetCount, item)
	books := fmt.Sprintf("%s: %s ", reconcile.CauseLedgerCount, item)
	kind := rapid.SampledFrom([]string{"set", "count", "type", "row", "books"}).Draw(m.T, "damage")
	switch {
	case kind == "set" && likes:
		door.SRem(background, set, user)
		return []string{pair(reconcile.CauseSetLost)}
	case kind == "set" && row.Version > 0:
		door.SAdd(background, set, user)
		return []string{pair(reconcile.CauseUnlikeLost)}
	case kind == "set": // taken for a like that the ledger never had
		door.SAdd(background, set, user)
		m.w.Append(p)
		return []string{pair(reconcile.CauseLedgerLost), count}
	case kind == "count":
		door.HIncrBy(background, counts, item, int64(rapid.SampledFrom([]int{-5, -1, 1, 100}).Draw(m.T, "by")))
		return []string{count}
	case kind == "type":
		door.Set(background, set, "no set", 0)
		delete(m.w.Likers, item)
		m.cooled(item)
		return []string{fmt.Sprintf("%s: %s ", reconcile.CauseSetBroken, item)}
	case kind == "row" && likes && rapid.Bool().Draw(m.T, "deleted"):
		m.exec("DELETE FROM likes WHERE item_id = $1 AND user_id = $2", item, user)
		delete(m.w.Rows, p)
		m.w.Append(p)
		return []string{pair(reconcile.CauseLedgerLost), books}
	case kind == "row" && row.Version > 0: // the ledger is believed
		m.exec("UPDATE likes SET liked = NOT liked WHERE item_id = $1 AND user_id = $2", item, user)
		m.w.Rows[p] = model.Row{Liked: !row.Liked, Version: row.Version}
		m.w.Likers[item] = m.w.Stored(item)
		cause := reconcile.CauseSetLost
		if row.Liked {
			cause = reconcile.CauseUnlikeLost
		}
		return []string{pair(cause), books, count}
	default:
		m.exec("INSERT INTO item_counts (item_id, bucket, count) VALUES ($1, 0, 7) ON CONFLICT (item_id) DO UPDATE SET count = item_counts.count + 7", item)
		return []string{books}
	}
}

func (m *machine) exec(sql string, args ...any) {
	if _, err := m.r.door.Exec(background, sql, args...); err != nil {
		m.Fatal(err)
	}
}
