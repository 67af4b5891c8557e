package counter

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"plusone/hotpath/like"
)

// truth is the like script's truth table, the one source for both servers. Each
// row starts on an open shard with item "a" liked by u1 (count 1) and item "b"
// liked by nobody.
var truth = []struct {
	name    string
	before  []string // commands, words separated by spaces
	ops     string   // item/user/want …, grouped by item
	want    string   // outcomes
	entry   string   // text of the new log entry, "" for none
	a, b    string   // counts afterwards, "-" for cold
	likersA string
}{
	{name: "a like that is new", ops: "a/u2/1", want: "+", entry: "a +u2", a: "2", b: "0", likersA: "u1 u2"},
	{name: "a like that was there", ops: "a/u1/1", want: "L", a: "1", b: "0", likersA: "u1"},
	{name: "an unlike", ops: "a/u1/0", want: "-", entry: "a -u1", a: "0", b: "0"},
	{name: "an unlike of what was never liked", ops: "a/u2/0", want: "N", a: "1", b: "0", likersA: "u1"},
	{name: "a toggle on", ops: "a/u2/~", want: "+", entry: "a +u2", a: "2", b: "0", likersA: "u1 u2"},
	{name: "a toggle off", ops: "a/u1/~", want: "-", entry: "a -u1", a: "0", b: "0"},
	{name: "two toggles", ops: "a/u2/~ a/u2/~", want: "+-", entry: "a -u2", a: "1", b: "0", likersA: "u1"},
	{name: "like, unlike, like of one pair", ops: "a/u2/1 a/u2/0 a/u2/1", want: "+-+", entry: "a +u2", a: "2", b: "0", likersA: "u1 u2"},
	{name: "the same like twice in one call", ops: "a/u2/1 a/u2/1", want: "+L", entry: "a +u2", a: "2", b: "0", likersA: "u1 u2"},
	{name: "likes of which one was there", ops: "a/u1/1 a/u2/1 b/u1/1", want: "L++", entry: "a +u2\nb +u1", a: "2", b: "1", likersA: "u1 u2"},
	{name: "new likes, one of them twice", ops: "a/u2/1 a/u3/1 a/u2/1 b/u1/1", want: "++L+", entry: "a +u2 +u3\nb +u1", a: "3", b: "1", likersA: "u1 u2 u3"},
	{name: "one comes and one goes", ops: "a/u1/0 a/u2/1", want: "-+", entry: "a -u1 +u2", a: "1", b: "0", likersA: "u2"},
	{name: "two items", ops: "a/u2/1 b/u2/1", want: "++", entry: "a +u2\nb +u2", a: "2", b: "1", likersA: "u1 u2"},
	{name: "a cold item beside a resident one", ops: "a/u2/1 c/u2/1", want: "+c", entry: "a +u2", a: "2", b: "0", likersA: "u1 u2"},
	{name: "a partly resident item that does not know the user", before: partly("%"), ops: "a/u2/1 a/u2/0 a/u2/~ a/u1/0 b/u2/1", want: "uuu-+", entry: "a -u1\nb +u2", a: "0", b: "1", likersA: "% %u1"},
	{name: "likes alone of a partly resident item", before: partly("%"), ops: "a/u2/1 a/u3/1 b/u2/1", want: "uu+", entry: "b +u2", a: "1", b: "1", likersA: "% u1"},
	{name: "a partly resident item that knows the user", before: partly("% %u2"), ops: "a/u2/0 a/u2/1 a/u2/1 a/u1/1", want: "N+LL", entry: "a +u2", a: "2", b: "0", likersA: "% u1 u2"},
	{name: "toggles of a partly resident item", before: partly("% %u2"), ops: "a/u2/~ a/u1/~ a/u3/~", want: "+-u", entry: "a +u2 -u1", a: "1", b: "0", likersA: "% %u1 u2"},
	{name: "a partly resident item of which only its set tells", before: []string{"HSET p1:{0}:meta forgot 1", "SADD p1:{0}:likers:a % %u3"}, ops: "a/u2/1 a/u1/1 a/u3/1 b/u2/1", want: "uL++", entry: "a +u3\nb +u2", a: "2", b: "1", likersA: "% u1 u3"},
	{name: "a like alone of such an item", before: []string{"HSET p1:{0}:meta forgot 3 marked 2", "SADD p1:{0}:likers:a %"}, ops: "a/u2/1", want: "u", a: "1", b: "0", likersA: "% u1"},
	{name: "a wholly resident item beside a partly resident one", before: []string{"HSET p1:{0}:meta forgot 2 marked 2", "SADD p1:{0}:partly b", "SADD p1:{0}:likers:b %"}, ops: "a/u2/1 b/u2/1", want: "+u", entry: "a +u2", a: "2", b: "0", likersA: "u1 u2"},
	{name: "a wholly resident item that is named as a partly resident one", before: []string{"HSET p1:{0}:meta forgot 2 marked 2", "SADD p1:{0}:partly a"}, ops: "a/u2/1 a/u1/0", want: "+-", entry: "a +u2 -u1", a: "1", b: "0", likersA: "u2"},
	{name: "unlikes alone", before: []string{"SADD p1:{0}:likers:a u2 u3", "HSET p1:{0}:counts a 3"}, ops: "a/u2/0 a/u3/0 a/u2/0 b/u1/0", want: "--NN", entry: "a -u2 -u3", a: "1", b: "0", likersA: "u1"},
	{name: "unlikes of nobody's", ops: "a/u2/0 a/u3/0 a/u2/0", want: "NNN", a: "1", b: "0", likersA: "u1"},
	{name: "two likes, one of which was there", ops: "a/u1/1 a/u2/1", want: "L+", entry: "a +u2", a: "2", b: "0", likersA: "u1 u2"},
	{name: "two likes, the other of which was there", ops: "a/u2/1 a/u1/1", want: "+L", entry: "a +u2", a: "2", b: "0", likersA: "u1 u2"},
	{name: "two likes that were there", before: []string{"SADD p1:{0}:likers:a u2", "HSET p1:{0}:counts a 2"}, ops: "a/u2/1 a/u1/1", want: "LL", a: "2", b: "0", likersA: "u1 u2"},
	{name: "two likes of another type of set", before: []string{"DEL p1:{0}:likers:a", "SET p1:{0}:likers:a x"}, ops: "a/u2/1 a/u3/1 b/u2/1", want: "ee+", entry: "b +u2", a: "1", b: "1"},
	{name: "unlikes of another type of set", before: []string{"DEL p1:{0}:likers:a", "SET p1:{0}:likers:a x"}, ops: "a/u2/0 b/u2/1", want: "e+", entry: "b +u2", a: "1", b: "1"},
	{name: "a toggle of a count below the number of likers", before: []string{"HSET p1:{0}:counts a 0"}, ops: "a/u1/~ b/u2/1", want: "e+", entry: "b +u2", a: "0", b: "1", likersA: "u1"},
	{name: "unlikes of a count below the number of likers", before: []string{"SADD p1:{0}:likers:a u2"}, ops: "a/u1/0 a/u2/0 b/u2/1", want: "ee+", entry: "b +u2", a: "1", b: "1", likersA: "u1 u2"},
	{name: "a new like of a frozen item", before: frozen("a"), ops: "a/u2/1 b/u2/1", want: "f+", entry: "b +u2", a: "1", b: "1", likersA: "u1"},
	{name: "a frozen item's like that was there", before: frozen("a"), ops: "a/u1/1", want: "L", a: "1", b: "0", likersA: "u1"},
	{name: "an unlike of a frozen item", before: frozen("a"), ops: "a/u1/0", want: "-", entry: "a -u1", a: "0", b: "0"},
	{name: "an unlike of nobody's of a frozen item", before: frozen("a"), ops: "a/u2/0", want: "N", a: "1", b: "0", likersA: "u1"},
	{name: "a toggle off of a frozen item", before: frozen("a"), ops: "a/u1/~", want: "-", entry: "a -u1", a: "0", b: "0"},
	{name: "a toggle on of a frozen item", before: frozen("a"), ops: "a/u2/~", want: "f", a: "1", b: "0", likersA: "u1"},
	{name: "two likes of a frozen item", before: frozen("a"), ops: "a/u2/1 a/u3/1", want: "ff", a: "1", b: "0", likersA: "u1"},
	{name: "two likes of a frozen item that were there", before: append(frozen("a"), "SADD p1:{0}:likers:a u2", "HSET p1:{0}:counts a 2"), ops: "a/u1/1 a/u2/1", want: "LL", a: "2", b: "0", likersA: "u1 u2"},
	{name: "unlike, like, toggle of one pair of a frozen item", before: frozen("a"), ops: "a/u1/0 a/u1/1 a/u1/~ a/u1/0", want: "-ffN", entry: "a -u1", a: "0", b: "0"},
	{name: "likes and unlikes of a frozen item", before: frozen("a"), ops: "a/u2/1 a/u1/0 a/u3/1", want: "f-f", entry: "a -u1", a: "0", b: "0"},
	{name: "unlikes alone of a frozen item", before: append(frozen("a"), "SADD p1:{0}:likers:a u2", "HSET p1:{0}:counts a 2"), ops: "a/u1/0 a/u2/0", want: "--", entry: "a -u1 -u2", a: "0", b: "0"},
	{name: "a like beside a frozen item", before: frozen("b"), ops: "a/u2/1 b/u2/1", want: "+f", entry: "a +u2", a: "2", b: "0", likersA: "u1 u2"},
	{name: "a frozen item that is cold", before: frozen("c"), ops: "a/u2/1 c/u2/1", want: "+c", entry: "a +u2", a: "2", b: "0", likersA: "u1 u2"},
	{name: "a frozen item that is partly resident", before: append(partly("% %u2"), frozen("a")...), ops: "a/u2/1 a/u3/1 a/u1/1 a/u1/0 a/u2/~", want: "fuL-f", entry: "a -u1", a: "0", b: "0", likersA: "% %u1 %u2"},
	{name: "an item that is frozen no more", before: append(frozen("a b"), "HDEL p1:{0}:meta frozen:a", "HSET p1:{0}:meta frozen 1"), ops: "a/u2/1 b/u2/1", want: "+f", entry: "a +u2", a: "2", b: "0", likersA: "u1 u2"},
	{name: "a closed shard", before: []string{"DEL p1:{0}:meta"}, ops: "a/u2/1", want: "closed", a: "1", b: "0", likersA: "u1"},
	{name: "another number of shards", before: []string{"HSET p1:{0}:meta shards 8"}, ops: "a/u2/1", want: "closed", a: "1", b: "0", likersA: "u1"},
	{name: "a full log", before: []string{"XADD p1:{0}:log 1-1 m x", "XADD p1:{0}:log 1-2 m x", "XADD p1:{0}:log 1-3 m x"}, ops: "a/u2/1", want: "full", a: "1", b: "0", likersA: "u1"},
	{name: "a set of another type", before: []string{"DEL p1:{0}:likers:a", "SET p1:{0}:likers:a x"}, ops: "a/u2/1 b/u2/1", want: "e+", entry: "b +u2", a: "1", b: "1"},
	{name: "a count that is no number", before: []string{"HSET p1:{0}:counts a many"}, ops: "a/u2/1 b/u2/1", want: "e+", entry: "b +u2", a: "many", b: "1", likersA: "u1"},
	{name: "a count that is a number to lua alone", before: []string{"HSET p1:{0}:counts a 1e1"}, ops: "a/u2/1 b/u2/1", want: "e+", entry: "b +u2", a: "1e1", b: "1", likersA: "u1"},
	{name: "a count below zero", before: []string{"HSET p1:{0}:counts a -3"}, ops: "a/u2/1 b/u2/1", want: "e+", entry: "b +u2", a: "-3", b: "1", likersA: "u1"},
	{name: "a count beyond all likers", before: []string{"HSET p1:{0}:counts a 9007199254740993"}, ops: "a/u2/1", want: "e", a: "9007199254740993", b: "0", likersA: "u1"},
	{name: "a count below the number of likers", before: []string{"HSET p1:{0}:counts a 0"}, ops: "a/u1/0 b/u2/1", want: "e+", entry: "b +u2", a: "0", b: "1", likersA: "u1"},
	{name: "a log of another type", before: []string{"SET p1:{0}:log x"}, ops: "a/u2/1", want: "WRONGTYPE", a: "1", b: "0", likersA: "u1"},
}

// partly makes item "a" a partly resident one, whose set holds these members, too.
func partly(members string) []string {
	return []string{"HSET p1:{0}:meta forgot 1 marked 1", "SADD p1:{0}:partly a", "SADD p1:{0}:likers:a " + members}
}

// frozen freezes items.
func frozen(items string) []string {
	set := "HSET p1:{0}:meta"
	for i, item := range strings.Fields(items) {
		set += fmt.Sprintf(" frozen %d frozen:%s 1", i+1, item)
	}
	return []string{set}
}

func TestTheLikeScriptKeepsItsTruthTable(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		rdb := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1})
		t.Cleanup(func() { _ = rdb.Close() })
		for _, row := range truth {
			t.Run(row.name, func(t *testing.T) {
				k := keysOf(0)
				commands(t, rdb, append([]string{
					"FLUSHALL", "HSET " + k.meta + " shards 4", "HSET " + k.counts + " a 1 b 0", "SADD " + k.likers + "a u1",
				}, row.before...)...)
				entriesBefore := entriesOf(t, rdb, k.log)

				got, start := callLike(t, rdb, row.ops)
				equal(t, "outcomes", got, row.want)
				if strings.Contains(row.want, "+") && strings.Contains(row.ops, "b/") {
					equal(t, "b's count before", start["b"], "0")
				}
				equal(t, "log", strings.TrimPrefix(entriesOf(t, rdb, k.log), entriesBefore), row.entry)
				counts := rdb.HMGet(t.Context(), k.counts, "a", "b", "c").Val()
				equal(t, "counts", fmt.Sprint(counts), fmt.Sprintf("[%s %s <nil>]", row.a, row.b))
				equal(t, "likers of a", strings.Join(sorted(rdb.SMembers(t.Context(), k.likers+"a").Val()), " "), row.likersA)
			})
		}
	})
}

func TestASequenceNumberNearItsEndStepsToTheNextMillisecond(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		rdb := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1})
		t.Cleanup(func() { _ = rdb.Close() })
		k := keysOf(0)
		commands(t, rdb, "HSET "+k.meta+" shards 4", "HSET "+k.counts+" a 0", "XADD "+k.log+" 8000000000000-1040000 m x", "XDEL "+k.log+" 8000000000000-1040000")
		for _, ops := range []string{"a/u1/1", "a/u2/1"} {
			got, _ := callLike(t, rdb, ops)
			equal(t, "outcome", got, "+")
		}
		ids := []string{}
		for _, m := range rdb.XRange(t.Context(), k.log, "-", "+").Val() {
			ids = append(ids, m.ID)
		}
		equal(t, "ids", strings.Join(ids, " "),
			"8000000000000-1040001 8000000000001-0 8000000000001-1")
	})
}

// send sends a batch as the lane does.
func send(ctx context.Context, rdb *redis.Client, b *batch, opt Options, before int64) ([]string, error) {
	if err := rdb.Process(ctx, b.command(ctx, &opt, before)); unknownScript(err) {
		_ = rdb.Process(ctx, b.withText(ctx)) // the command holds it
	}
	return b.cmd.Result()
}

// callLike runs the script on shard 0 of 4 with at most 3 pending entries;
// start holds each item's count before the call.
func callLike(t *testing.T, rdb *redis.Client, ops string) (outcomes string, start map[string]string) {
	t.Helper()
	k := keysOf(0)
	out := newOutbox([]keys{k})
	for op := range strings.FieldsSeq(ops) {
		part := strings.Split(op, "/")
		s := &slot{}
		s.op.Item, s.op.User = part[0], part[1]
		s.op.Want = map[string]like.Want{"0": 0, "1": 1, "~": 2}[part[2]]
		out.add(s)
	}
	b := out.batches[0]
	reply, err := send(t.Context(), rdb, b, Options{Shards: 4, MaxPending: 3}, 0)
	if err != nil {
		if strings.Contains(err.Error(), "WRONGTYPE") || strings.Contains(err.Error(), "wrong kind of value") {
			return "WRONGTYPE", nil
		}
		t.Fatal(err)
	}
	if len(reply) == 1 {
		return reply[0], nil
	}
	start = map[string]string{}
	for i, line := range strings.Split(reply[2], "\n") {
		start[b.groups[i].item] = line
	}
	return reply[1], start
}

func commands(t *testing.T, rdb *redis.Client, lines ...string) {
	t.Helper()
	for _, line := range lines {
		var args []any
		for w := range strings.FieldsSeq(line) {
			args = append(args, w)
		}
		ok(t, rdb.Do(t.Context(), args...).Err())
	}
}

// entriesOf is the text of all entries of a log.
func entriesOf(t *testing.T, rdb *redis.Client, log string) string {
	t.Helper()
	entries, err := rdb.XRange(t.Context(), log, "-", "+").Result()
	if err != nil {
		return ""
	}
	text := ""
	for _, m := range entries {
		for _, v := range m.Values {
			text += v.(string)
		}
	}
	return text
}
