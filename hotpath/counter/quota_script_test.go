package counter

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"plusone/hotpath/like"
)

// quotaWindow is so long that none ends while a test runs, but once in years.
const quotaWindow = 1_000_000_000 * time.Millisecond

func windowStart(at time.Time) int64 {
	return at.UnixMilli() - at.UnixMilli()%quotaWindow.Milliseconds()
}

// quotaTruth is the quota script's truth table: three units a window, and before each
// row u1 has used one and u3 all. <now> is the window's start, <last> and <next> are
// those beside it, <len> is its length; an entry of `reserved` is its users.
var quotaTruth = []struct {
	name     string
	before   []string
	wants    string // users, separated by spaces
	refunds  string
	ends     []string // id/start/unused/unknown, words of a part joined by +
	lefts    string
	used     string // afterwards, without those who have used none
	reserved string // entries afterwards, "|" between them
	expired  string
}{
	{name: "a unit of somebody new", wants: "u2", lefts: "2", used: "u1:1 u2:1 u3:3", reserved: "u2"},
	{name: "one more unit", wants: "u1", lefts: "1", used: "u1:2 u3:3", reserved: "u1"},
	{name: "no unit left", wants: "u3", lefts: "-1", used: "u1:1 u3:3"},
	{name: "several users at once", wants: "u1 u3 u2", lefts: "1 -1 2", used: "u1:2 u2:1 u3:3", reserved: "u1 u2"},
	{name: "one user again and again", wants: "u1 u1 u2 u1 u1", lefts: "1 0 2 -1 -1", used: "u1:3 u2:1 u3:3", reserved: "u1 u1 u2"},
	{name: "nobody wants anything", used: "u1:1 u3:3"},
	{name: "all confirmed", before: []string{"XADD <reserved> 5-1 <now> u1"}, ends: []string{"5-1/<now>//"}, used: "u1:1 u3:3"},
	{name: "all cancelled", before: []string{"XADD <reserved> 5-1 <now> u1+u3"}, ends: []string{"5-1/<now>/u1+u3/"}, used: "u3:2"},
	{name: "some cancelled, some not known", before: []string{"XADD <reserved> 5-1 <now> u1+u3+u3"}, ends: []string{"5-1/<now>/u3/u1"}, used: "u1:1 u3:2", reserved: "u1"},
	{name: "cancelled twice", before: []string{"XADD <reserved> 5-1 <now> u3"}, ends: []string{"5-1/<now>/u3/", "5-1/<now>/u3/"}, used: "u1:1 u3:2"},
	{name: "an end of what is not there", ends: []string{"5-1/<now>/u3/u1"}, used: "u1:1 u3:3"},
	{name: "cancelled and wanted in one call", before: []string{"XADD <reserved> 5-1 <now> u3"}, wants: "u3", ends: []string{"5-1/<now>/u3/"}, lefts: "0", used: "u1:1 u3:3", reserved: "u3"},
	{name: "cancelled when its window is over", before: []string{"XADD <reserved> 5-1 <last> u3"}, ends: []string{"5-1/<last>/u3/u1"}, used: "u1:1 u3:3"},
	{name: "nobody has ended it", before: []string{"XADD <reserved> 5-1 <now> u3+u1"}, wants: "u3", lefts: "0", used: "u3:3", reserved: "u3", expired: "2"},
	{name: "several that nobody has ended, one a call", before: []string{"XADD <reserved> 5-1 <now> u3", "XADD <reserved> 5-2 <now> u3"}, used: "u1:1 u3:2", reserved: "u3", expired: "1"},
	{name: "nobody has ended it in its window", before: []string{"XADD <reserved> 5-1 <last> u3"}, used: "u1:1 u3:3"},
	{name: "one under way", before: []string{"XADD <reserved> * <now> u3"}, used: "u1:1 u3:3", reserved: "u3"},
	{name: "a unit given back", refunds: "u1", used: "u3:3"},
	{name: "given back by who has none", refunds: "u2 u1 u1", used: "u3:3"},
	{name: "given back and wanted", refunds: "u3", wants: "u3 u3", lefts: "0 -1", used: "u1:1 u3:3", reserved: "u3"},
	{name: "a new window", before: []string{"HSET <quota> %w <last>+<len>"}, wants: "u3", lefts: "2", used: "u3:1", reserved: "u3"},
	{name: "given back when the window is new", before: []string{"HSET <quota> %w <last>+<len>", "XADD <reserved> 5-1 <last> u3"}, refunds: "u1", ends: []string{"5-1/<last>/u3/"}},
	{name: "a clock that was set back", before: []string{"HSET <quota> %w <next>+<len>"}, wants: "u3 u1", lefts: "-1 1", used: "u1:2 u3:3", reserved: "u1"},
	{name: "another length", before: []string{"HSET <quota> %w <now>+1000"}, wants: "u3", lefts: "2", used: "u3:1", reserved: "u3"},
	{name: "nothing there", before: []string{"DEL <quota>"}, wants: "u3 u3 u3 u3", lefts: "2 1 0 -1", used: "u3:3", reserved: "u3 u3 u3"},
}

func TestTheQuotaScriptKeepsItsTruthTable(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		rdb := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1})
		t.Cleanup(func() { _ = rdb.Close() })
		k := keysOf(0)
		start, long := windowStart(time.Now()), quotaWindow.Milliseconds()
		names := strings.NewReplacer("<quota>", k.quota, "<reserved>", k.reserved, "<now>", fmt.Sprint(start),
			"<last>", fmt.Sprint(start-long), "<next>", fmt.Sprint(start+long), "<len>", fmt.Sprint(long))
		for _, row := range quotaTruth {
			t.Run(row.name, func(t *testing.T) {
				commands(t, rdb, "FLUSHALL")
				for _, line := range append([]string{"HSET <quota> %w <now>+<len> u1 1 u3 3"}, row.before...) {
					var args []any
					for word := range strings.FieldsSeq(names.Replace(line)) {
						args = append(args, strings.ReplaceAll(word, "+", " "))
					}
					ok(t, rdb.Do(t.Context(), args...).Err())
				}
				wants, refunds := strings.Fields(row.wants), strings.Fields(row.refunds)
				args := []any{3, long, 2000, "%slip", 7, 5000, len(wants), len(refunds), len(row.ends)}
				for _, user := range slices.Concat(wants, refunds) {
					args = append(args, user)
				}
				for _, end := range row.ends {
					for part := range strings.SplitSeq(names.Replace(end), "/") {
						args = append(args, strings.ReplaceAll(part, "+", " "))
					}
				}
				other := keysOf(1) // of a part behind it
				args = append(args, 0, 1, 0, 0, "u1")
				reply, err := quotaScript.run(t.Context(), rdb, []string{k.quota, k.reserved, other.quota, other.reserved}, args...).StringSlice()
				ok(t, err)
				equal(t, "units left in the other part", reply[6], "2")
				equal(t, "used there", usedBy(t, rdb, other), "u1:1")
				equal(t, "units left", reply[1], row.lefts)
				equal(t, "there is a reservation", reply[0] != "", strings.Trim(row.lefts, "-1 ") != "" || strings.Contains(" "+row.lefts, " 1"))
				expired := row.expired
				if expired == "" {
					expired = "0"
				}
				equal(t, "expired", reply[4], expired)
				var slip strings.Builder
				if strings.Contains(row.lefts, "-1") {
					slip.WriteByte(' ')
					for left := range strings.FieldsSeq(row.lefts) {
						slip.WriteByte(map[bool]byte{true: '-', false: '+'}[left == "-1"])
					}
				}
				number, rest, _ := strings.Cut(rdb.HGet(t.Context(), k.quota, "%slip").Val(), " ")
				_, letters, some := strings.Cut(rest, " ")
				equal(t, "there is a slip", number, map[bool]string{true: "7"}[row.wants != ""])
				equal(t, "its letters", strings.Repeat(" ", map[bool]int{true: 1}[some])+letters, slip.String())
				equal(t, "used", usedBy(t, rdb, k), row.used)
				equal(t, "reserved", reservedIn(t, rdb, k), row.reserved)
			})
		}
	})
}

// usedBy tells who has used how many units, sorted.
func usedBy(t *testing.T, rdb *redis.Client, k keys) string {
	t.Helper()
	all, err := rdb.HGetAll(t.Context(), k.quota).Result()
	ok(t, err)
	var used []string
	for _, user := range slices.Sorted(maps.Keys(all)) {
		if all[user] != "0" && user[0] != '%' {
			used = append(used, user+":"+all[user])
		}
	}
	return strings.Join(used, " ")
}

func reservedIn(t *testing.T, rdb *redis.Client, k keys) string {
	t.Helper()
	var entries []string
	for _, m := range rdb.XRange(t.Context(), k.reserved, "-", "+").Val() {
		for _, users := range m.Values {
			entries = append(entries, strings.TrimSpace(fmt.Sprint(users)))
		}
	}
	return strings.Join(entries, "|")
}

// A reservation tells until when it may be used, and the hash ends by itself.
func TestTheQuotaScriptTellsTheEndsOfThings(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		rdb := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1})
		t.Cleanup(func() { _ = rdb.Close() })
		k := keysOf(0)
		for _, window := range []time.Duration{time.Second, time.Hour} {
			commands(t, rdb, "FLUSHALL")
			reply, err := quotaScript.run(t.Context(), rdb, []string{k.quota, k.reserved},
				1, window.Milliseconds(), 2000, "%slip", 7, 5000, 1, 0, 0, "u1").StringSlice()
			ok(t, err)
			start, _ := strconv.ParseInt(reply[2], 10, 64)
			left, _ := strconv.ParseInt(reply[3], 10, 64)
			slip := strings.Fields(rdb.HGet(t.Context(), k.quota, "%slip").Val())
			equal(t, "words of the slip", len(slip), 2)
			until, _ := strconv.ParseInt(slip[1], 10, 64)
			end := start + window.Milliseconds()
			now := end - left
			equal(t, "a window begins at a multiple of its length", start%window.Milliseconds(), 0)
			equal(t, "now is in it", start <= now && now < end, true)
			equal(t, "may be used until", until, min(end, now+2000))
			ttl := rdb.PTTL(t.Context(), k.quota).Val()
			equal(t, "the hash outlives the window, and ends", ttl > time.Duration(left)*time.Millisecond && ttl <= 2*window, true)
		}
	})
}

var giveBackTruth = []struct {
	name string
	args string // user, the like's moment as an offset of the window's start, mark
	want string
	used string
}{
	{"a unit", "u1 5 %a", "1", "u3:3"},
	{"by the window's first moment", "u1 0 %a", "1", "u3:3"},
	{"the same like twice", "u3 5 %a u3 6 %a", "1 0", "u1:1 u3:2"},
	{"two likes", "u3 5 %a u3 5 %b", "1 1", "u1:1 u3:1"},
	{"more than were used", "u1 5 %a u1 5 %b", "1 0", "u3:3"},
	{"somebody unknown", "u2 5 %a", "0", "u1:1 u3:3"},
	{"before the window", "u1 -1 %a", "0", "u1:1 u3:3"},
	{"after the window", "u1 1000000000 %a", "0", "u1:1 u3:3"},
}

func TestTheGiveBackScriptKeepsItsTruthTable(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		rdb := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1})
		t.Cleanup(func() { _ = rdb.Close() })
		k := keysOf(0)
		start, long := windowStart(time.Now()), quotaWindow.Milliseconds()
		for _, row := range giveBackTruth {
			t.Run(row.name, func(t *testing.T) {
				commands(t, rdb, "FLUSHALL")
				ok(t, rdb.HSet(t.Context(), k.quota, "%w", fmt.Sprint(start, " ", long), "u1", 1, "u3", 3).Err())
				var got []string
				for call := range slices.Chunk(strings.Fields(row.args), 3) {
					offset, _ := strconv.ParseInt(call[1], 10, 64)
					n, err := giveScript.run(t.Context(), rdb, []string{k.quota}, call[0], start+offset, call[2]).Int()
					ok(t, err)
					got = append(got, strconv.Itoa(n))
				}
				equal(t, "answers", strings.Join(got, " "), row.want)
				equal(t, "used", usedBy(t, rdb, k), row.used)
			})
		}
		commands(t, rdb, "FLUSHALL")
		n, err := giveScript.run(t.Context(), rdb, []string{k.quota}, "u1", start, "%a").Int()
		ok(t, err)
		equal(t, "without a quota", n, 0)
		equal(t, "keys", rdb.DBSize(t.Context()).Val(), 0)
	})
}

// slipTruth is what the like script answers where a quota is on: + is a like that got
// a unit, - one that did not, ~ a toggle that did not, 0 an unlike.
var slipTruth = []struct{ name, before, ops, want string }{
	{"a unit", "", "a/u2/+", "+"},
	{"a unit too many", "", "a/u1/+", "L"},
	{"liked", "", "a/u1/-", "L"},
	{"not liked", "", "a/u2/-", "N"},
	{"not liked by anybody", "", "b/u2/-", "N"},
	{"a toggle of what is liked", "", "a/u1/~", "-"},
	{"a toggle of what is not", "", "a/u2/~ b/u1/~", "NN"},
	{"beside others", "", "a/u2/+ a/u2/- a/u1/0 a/u1/-", "+L-N"},
	{"two of them", "", "a/u1/- a/u2/-", "LN"},
	{"behind a like", "", "a/u1/+ a/u2/-", "LN"},
	{"two likes of one item, one without", "", "b/u1/- b/u2/+", "N+"},
	{"of several items", "", "a/u1/- b/u1/0 a/u2/+ b/u2/- a/u3/~", "L+NNN"},
	{"no op that needs a unit", "DEL <quota>", "a/u1/0 b/u1/0", "-N"},
	{"cold", "", "c/u1/-", "c"},
	{"partly resident, not known", "SADD p1:{0}:likers:a %", "a/u2/- a/u1/-", "uL"},
	{"partly resident, known", "SADD p1:{0}:likers:a % %u2", "a/u2/-", "N"},
	{"no slip", "DEL <quota>", "a/u2/+ a/u1/0", "unreserved"},
	{"one slip is not there", "HDEL <quota> %two", "a/u2/+ b/u2/+", "unreserved"},
	{"that of another exchange", "HSET <quota> %one 6_9999999999999", "a/u2/+", "unreserved"},
	{"its time is over", "HSET <quota> %one 7_1000000000000", "a/u2/+", "unreserved"},
	{"it is none", "HSET <quota> %one 7", "a/u2/+", "unreserved"},
	{"not of such a kind", "SET <quota> x", "a/u2/+", "unreserved"},
}

func TestALikeIsMadeOfASlipThatAllowsIt(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		rdb := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1})
		t.Cleanup(func() { _ = rdb.Close() })
		for _, row := range slipTruth {
			t.Run(row.name, func(t *testing.T) {
				k := keysOf(0)
				commands(t, rdb, "FLUSHALL", "HSET "+k.meta+" shards 4", "HSET "+k.counts+" a 1 b 0", "SADD "+k.likers+"a u1")
				if strings.HasPrefix(row.before, "SADD") {
					commands(t, rdb, "HSET "+k.meta+" forgot 1 marked 1", "SADD "+k.partly+" a")
				}
				// The ops have their letters on two slips, by turns.
				q := &quota{c: &Counter{keys: []keys{k}}, slips: []string{"%one", "%two"}, number: 7}
				slips := []*part{{ask: &ask{quota: q}}, {ask: &ask{quota: q, nth: 1}}}
				out, letters := newOutbox([]keys{k}), [2]string{}
				var needing int
				for op := range strings.FieldsSeq(row.ops) {
					part := strings.Split(op, "/")
					s := &slot{op: like.Op{Item: part[0], User: part[1], Want: map[string]like.Want{"+": like.Liked, "-": like.Liked, "~": like.Toggle}[part[2]]}}
					if part[2] != "0" {
						i := needing % 2
						needing++
						letters[i] += strings.Replace(part[2], "~", "-", 1)
						s.unit = unit{slip: 1 + i, nth: len(letters[i])}
					}
					out.add(s)
				}
				b := out.batches[0]
				b.slips = slips[:min(needing, 2)]
				for i, field := range q.slips {
					slip := "7 9999999999999"
					if strings.Contains(letters[i], "-") {
						slip += " " + letters[i]
					}
					ok(t, rdb.HSet(t.Context(), k.quota, field, slip).Err())
				}
				if row.before != "" {
					var args []any
					for word := range strings.FieldsSeq(strings.ReplaceAll(row.before, "<quota>", k.quota)) {
						args = append(args, strings.ReplaceAll(word, "_", " "))
					}
					ok(t, rdb.Do(t.Context(), args...).Err())
				}
				reply, err := send(t.Context(), rdb, b, Options{Shards: 4, MaxPending: 3}, 0)
				ok(t, err)
				if len(reply) != 1 {
					equal(t, "outcomes", reply[1], row.want)
					equal(t, "something was logged", reply[0] != "", strings.ContainsAny(row.want, "+-"))
					return
				}
				equal(t, "the answer", reply[0], row.want)
				equal(t, "counts", fmt.Sprint(rdb.HMGet(t.Context(), k.counts, "a", "b").Val()), "[1 0]")
				equal(t, "log", rdb.XLen(t.Context(), k.log).Val(), 0)
			})
		}
	})
}
