package model_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"plusone/cmd/internal/model"
	"plusone/reconcile"
)

// reconcile compares both sides. There is nothing to be found.
func (m *machine) reconcile() {
	m.drainAll()
	m.check()
	m.faults(func() { m.expect() })
}

// expect runs a pass, which must find this and nothing else.
func (m *machine) expect(want ...string) {
	m.now = nil
	rep, err := m.house().reconciler.Once(background, false)
	m.broken(err)
	var got []string
	for _, d := range rep.Drifts {
		if !d.Repaired {
			m.Fatalf("not repaired: %+v", d)
		}
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
	if len(resident) == 0 || slices.ContainsFunc(items, func(item string) bool { return m.late[item] }) {
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

// wound is the damage of one item.
type wound struct {
	*machine
	item, user  string
	pair        model.Pair
	row         model.Row
	it          model.SeenItem
	set, counts string // keys
	door        *redis.Client
}

// spoil damages one item and returns what is to be found.
func (m *machine) spoil(item string) []string {
	user, shard := rapid.SampledFrom(users).Draw(m.T, "user"), m.w.Shard(item)
	p := model.Pair{Item: item, User: user}
	w := &wound{
		machine: m, item: item, user: user, pair: p, row: m.w.Rows[p], it: m.seen.Items[item],
		set: key(shard, "likers:"+item), counts: key(shard, "counts"), door: m.r.doors[m.r.active],
	}
	switch rapid.SampledFrom([]string{"set", "count", "type", "row", "books", "votes"}).Draw(m.T, "damage") {
	case "set":
		return w.members()
	case "count":
		w.door.HIncrBy(background, w.counts, item, int64(rapid.SampledFrom([]int{-5, -1, 1, 100}).Draw(m.T, "by")))
		return []string{w.count()}
	case "type":
		w.door.Set(background, w.set, "no set", 0)
		delete(m.w.Likers, item)
		m.cooled(item)
		return []string{w.of(reconcile.CauseSetBroken)}
	case "row":
		return w.ledgerRow()
	case "votes":
		w.door.HIncrBy(background, key(shard, "votes"), item, int64(rapid.SampledFrom([]int{-5, 3, 100}).Draw(m.T, "votes by")))
		return []string{w.of(reconcile.CauseVotes)}
	default:
		m.exec("INSERT INTO item_counts (item_id, bucket, count) VALUES ($1, 0, 7) ON CONFLICT (item_id) DO UPDATE SET count = item_counts.count + 7", item)
		return []string{w.of(reconcile.CauseLedgerCount)}
	}
}

func (w *wound) of(cause string) string    { return fmt.Sprintf("%s: %s ", cause, w.item) }
func (w *wound) pairs(cause string) string { return fmt.Sprintf("%s: %s %s", cause, w.item, w.user) }

// count is the finding that the count in Redis is wrong.
func (w *wound) count() string {
	if w.it.Partly {
		return w.of(reconcile.CausePartCount)
	}
	return w.of(reconcile.CauseSetCount)
}

// known reports whether Redis can tell of the pair without the ledger.
func (w *wound) known() bool {
	return !w.it.Partly || w.it.Users[w.user] || w.it.Others[w.user]
}

// members turns what Redis knows of the user into its opposite.
func (w *wound) members() []string {
	likes := w.w.Likes(w.pair)
	switch {
	case !w.known(): // a wrong answer of the ledger was remembered
		w.door.SAdd(background, w.set, map[bool]string{true: "%" + w.user, false: w.user}[likes])
	case likes:
		w.door.SRem(background, w.set, w.user)
	default:
		w.door.SRem(background, w.set, "%"+w.user)
		w.door.SAdd(background, w.set, w.user)
	}
	if likes && w.it.Partly && w.known() {
		w.door.SAdd(background, w.set, "%"+w.user)
	}
	switch {
	case likes && w.it.Partly:
		return []string{w.pairs(reconcile.CauseLikeKept)}
	case likes:
		return []string{w.pairs(reconcile.CauseSetLost)}
	case w.row.Version > 0:
		return []string{w.pairs(reconcile.CauseUnlikeLost)}
	}
	w.w.Append(w.pair) // taken for a like that the ledger never had
	return []string{w.pairs(reconcile.CauseLedgerLost), w.count()}
}

// ledgerRow deletes or turns a row. A row that is there is believed, one that is
// not is written again by whoever knows of the like.
func (w *wound) ledgerRow() []string {
	books, likes := w.of(reconcile.CauseLedgerCount), w.row.Liked
	switch {
	case w.row.Version == 0:
		return nil
	case likes && rapid.Bool().Draw(w.T, "deleted"):
		w.exec("DELETE FROM likes WHERE item_id = $1 AND user_id = $2", w.item, w.user)
		delete(w.w.Rows, w.pair)
		if w.known() {
			w.w.Append(w.pair)
			return []string{w.pairs(reconcile.CauseLedgerLost), books}
		}
	default:
		w.exec("UPDATE likes SET liked = NOT liked WHERE item_id = $1 AND user_id = $2", w.item, w.user)
		w.w.Rows[w.pair] = model.Row{Liked: !likes, Version: w.row.Version}
	}
	w.w.Likers[w.item] = w.w.Stored(w.item)
	switch {
	case !w.known():
		return []string{books, w.count()}
	case likes:
		return []string{w.pairs(reconcile.CauseUnlikeLost), books, w.count()}
	case w.it.Partly:
		return []string{w.pairs(reconcile.CauseLikeKept), books, w.count()}
	}
	return []string{w.pairs(reconcile.CauseSetLost), books, w.count()}
}

func (m *machine) exec(sql string, args ...any) {
	if _, err := m.r.door.Exec(background, sql, args...); err != nil {
		m.Fatal(err)
	}
}
