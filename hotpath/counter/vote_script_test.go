package counter

import (
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"plusone/hotpath/like"
)

// voteTruth is the vote script's truth table. Each row starts on an open shard with
// item "a" that u1 likes and that has a vote r1 of weight 5 (count 6), and item "b"
// that counts nothing. ID stands for the id of the new entry.
var voteTruth = []struct {
	name   string
	before []string
	votes  string // item/ref/want/weight/told …
	want   string // a line per vote, joined by |
	entry  string
	a, b   string // counts afterwards
	sumA   string
	r      string // what became of item/ref of the first vote afterwards
}{
	{name: "a vote that is new", votes: "a/r2/+/7/", want: "k +7 ID 13", entry: "a +%7%r2", a: "13", b: "0", sumA: "12", r: "+7 ID"},
	{name: "the first vote of an item", votes: "b/r1/+/1000000000/", want: "k +1000000000 ID 1000000000", entry: "b +%1000000000%r1", a: "6", b: "1000000000", sumA: "5", r: "+1000000000 ID"},
	{name: "a vote that Redis knows", votes: "a/r1/+/5/", want: "k +5 1-1 6", a: "6", b: "0", sumA: "5", r: "+5 1-1"},
	{name: "a vote that the ledger knows", votes: "a/r9/+/5/+5_1-0", want: "k +5 1-0 6", a: "6", b: "0", sumA: "5"},
	{name: "a vote of another weight", votes: "a/r1/+/6/", want: "x +5 1-1", a: "6", b: "0", sumA: "5", r: "+5 1-1"},
	{name: "a vote of another weight than the ledger's", votes: "a/r9/+/6/+5_1-0", want: "x +5 1-0", a: "6", b: "0", sumA: "5"},
	{name: "what Redis knows is newer than what the ledger says", votes: "a/r1/-/0/-5_1-0", want: "k -5 ID 1", entry: "a -%5%r1", a: "1", b: "0", sumA: "0", r: "-5 ID"},
	{name: "a refund", votes: "a/r1/-/0/", want: "k -5 ID 1", entry: "a -%5%r1", a: "1", b: "0", sumA: "0", r: "-5 ID"},
	{name: "a refund of what the ledger knows", votes: "a/r9/-/0/+4_1-0", want: "k -4 ID 2", entry: "a -%4%r9", a: "2", b: "0", sumA: "1", r: "-4 ID"},
	{name: "a second refund", votes: "a/r9/-/0/-4_1-0", want: "k -4 1-0 6", a: "6", b: "0", sumA: "5"},
	{name: "a vote that was given back", votes: "a/r9/+/4/-4_1-0", want: "k -4 1-0 6", a: "6", b: "0", sumA: "5"},
	{name: "a vote that was given back with another weight", votes: "a/r9/+/3/-4_1-0", want: "x -4 1-0", a: "6", b: "0", sumA: "5"},
	{name: "a refund before its vote", votes: "a/r2/-/0/", want: "k -0 ID 6", entry: "a -%0%r2", a: "6", b: "0", sumA: "5", r: "-0 ID"},
	{name: "a vote after its refund", votes: "a/r9/+/4/-0_1-0", want: "k -0 1-0 6", a: "6", b: "0", sumA: "5"},
	{name: "a look", votes: "a/r1/?/0/ a/r2/?/0/ c/r1/?/0/+3_1-0", want: "k +5 1-1 6|n|k +3 1-0 0", a: "6", b: "0", sumA: "5", r: "+5 1-1"},
	{name: "a vote, its repeat and its refund in one call", votes: "a/r2/+/7/ a/r2/+/7/ a/r2/-/0/", want: "k +7 ID 13|k +7 ID 13|k -7 ID 6", entry: "a +%7%r2a -%7%r2", a: "6", b: "0", sumA: "5", r: "-7 ID"},
	{name: "a cold item", votes: "c/r1/+/5/ b/r1/+/5/", want: "c|k +5 ID 5", entry: "b +%5%r1", a: "6", b: "5", sumA: "5"},
	{name: "something was forgotten that the ledger may not have had", before: []string{"HSET p1:{0}:meta lapsed 3-0"}, votes: "a/r9/+/5/+5_1-0 a/r1/+/5/ a/r2/+/5/", want: "a|k +5 1-1 6|a", a: "6", b: "0", sumA: "5"},
	{name: "something was forgotten that the ledger had", before: []string{"HSET p1:{0}:meta lapsed 2-0"}, votes: "a/r9/+/5/+5_1-0", want: "k +5 1-0 6", a: "6", b: "0", sumA: "5"},
	{name: "more than an item may count", before: []string{"HSET p1:{0}:counts b 899999999999999"}, votes: "b/r1/+/1/ b/r2/+/1/ b/r1/-/0/", want: "k +1 ID 900000000000000|b|k -1 ID 899999999999999", entry: "b +%1%r1b -%1%r1", a: "6", b: "899999999999999", sumA: "5", r: "-1 ID"},
	{name: "a count that is no count", before: []string{"HSET p1:{0}:counts a many"}, votes: "a/r2/+/1/ b/r1/+/1/", want: "e what the item counts is no count|k +1 ID 1", entry: "b +%1%r1", a: "many", b: "1", sumA: "5"},
	{name: "a sum that is no number", before: []string{"HSET p1:{0}:votes a many"}, votes: "a/r2/+/1/", want: "e what the item counts is no count", a: "6", b: "0", sumA: "many"},
	{name: "a sum below its votes", before: []string{"HSET p1:{0}:votes a 4"}, votes: "a/r1/-/0/", want: "e what the item counts is less than its votes", a: "6", b: "0", sumA: "4", r: "+5 1-1"},
	{name: "what became of a vote can't be read", before: []string{"HSET p1:{0}:refs a|r1 x"}, votes: "a/r1/+/5/", want: "e what became of the vote can't be read", a: "6", b: "0", sumA: "5", r: "x"},
	{name: "a frozen item", before: []string{"HSET p1:{0}:meta frozen 1 frozen:a 1"}, votes: "a/r2/+/5/ a/r1/+/5/ a/r1/-/0/ b/r1/+/1/", want: "f|k +5 1-1 6|k -5 ID 1|k +1 ID 1", entry: "a -%5%r1b +%1%r1", a: "1", b: "1", sumA: "0"},
	{name: "a closed shard", before: []string{"DEL p1:{0}:meta"}, votes: "a/r2/+/5/", want: "closed", a: "6", b: "0", sumA: "5"},
	{name: "another number of shards", before: []string{"HSET p1:{0}:meta shards 8"}, votes: "a/r2/+/5/", want: "closed", a: "6", b: "0", sumA: "5"},
	{name: "a full log", before: []string{"XADD p1:{0}:log 1-1 m x", "XADD p1:{0}:log 1-2 m x", "XADD p1:{0}:log 1-3 m x"}, votes: "a/r2/+/5/", want: "full", a: "6", b: "0", sumA: "5"},
}

func TestTheVoteScriptKeepsItsTruthTable(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		rdb := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1})
		t.Cleanup(func() { _ = rdb.Close() })
		for _, row := range voteTruth {
			t.Run(row.name, func(t *testing.T) {
				k := keysOf(0)
				ctx := t.Context()
				commands(t, rdb, "FLUSHALL", "HSET "+k.meta+" shards 4", "HSET "+k.counts+" a 6 b 0", "SADD "+k.likers+"a u1", "HSET "+k.votes+" a 5")
				ok(t, rdb.HSet(ctx, k.refs, "a r1", "+5 1-1").Err())
				for _, line := range row.before {
					var args []any
					for w := range strings.FieldsSeq(line) {
						args = append(args, strings.ReplaceAll(w, "|", " "))
					}
					ok(t, rdb.Do(ctx, args...).Err())
				}
				entriesBefore := entriesOf(t, rdb, k.log)
				b := &box{shard: 0, known: 2 << 20}
				for v := range strings.FieldsSeq(row.votes) {
					part := strings.Split(v, "/")
					op := like.VoteOp{Item: part[0], Ref: part[1], Want: map[string]like.VoteWant{"+": like.CountVote, "-": like.RefundVote}[part[2]]}
					_, err := fmt.Sscan(part[3], &op.Weight)
					ok(t, err)
					told, _ := like.ParseVoteState(strings.ReplaceAll(part[4], "_", " "))
					b.ballots = append(b.ballots, &ballot{op: op, told: told})
				}
				c := &Counter{keys: keysOfAll(4), opt: Options{Shards: 4, MaxPending: 3}, refs: 100}
				b.command(ctx, c, 0)
				_ = rdb.Process(ctx, b.withText(ctx)) // the command holds it
				reply, err := b.cmd.Result()
				ok(t, err)
				got, ids := strings.Join(reply, "|"), []string{}
				for _, m := range rdb.XRange(ctx, k.log, "-", "+").Val() {
					ids = append(ids, m.ID)
				}
				plain := func(s string) string {
					for _, id := range ids {
						s = strings.ReplaceAll(s, id, "ID")
					}
					return s
				}
				equal(t, "answers", plain(strings.TrimPrefix(got, "done|")), row.want)
				equal(t, "log", strings.TrimPrefix(entriesOf(t, rdb, k.log), entriesBefore), row.entry)
				equal(t, "counts", fmt.Sprint(rdb.HMGet(ctx, k.counts, "a", "b", "c").Val()), fmt.Sprintf("[%s %s <nil>]", row.a, row.b))
				equal(t, "sum of a", rdb.HGet(ctx, k.votes, "a").Val(), row.sumA)
				if row.r != "" {
					op := b.ballots[0].op
					equal(t, "what became of it", plain(rdb.HGet(ctx, k.refs, op.Item+" "+op.Ref).Val()), row.r)
				}
			})
		}
	})
}

// What is forgotten is only what the log does not hold, and the last of it is told.
func TestTheVoteScriptForgetsWhatTheLogDoesNotHold(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		rdb := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1})
		t.Cleanup(func() { _ = rdb.Close() })
		ctx, k := t.Context(), keysOf(0)
		commands(t, rdb, "HSET "+k.meta+" shards 4", "HSET "+k.counts+" a 40", "HSET "+k.votes+" a 40")
		for i := range 40 {
			ok(t, rdb.HSet(ctx, k.refs, fmt.Sprint("a old", i), fmt.Sprintf("+1 5-%d", i)).Err())
		}
		c := &Counter{keys: keysOfAll(4), opt: Options{Shards: 4, MaxPending: 100}, refs: 10}
		vote := func(ref string) string {
			b := &box{known: 4 << 20, ballots: []*ballot{{op: like.VoteOp{Item: "a", Ref: ref, Want: like.CountVote, Weight: 1}}}}
			b.command(ctx, c, 0)
			_ = rdb.Process(ctx, b.withText(ctx)) // the command holds it
			reply, err := b.cmd.Result()
			ok(t, err)
			return reply[1]
		}
		if got := vote("new0"); !strings.HasPrefix(got, "k +1") {
			t.Fatal(got)
		}
		equal(t, "what is left", strings.Join(rdb.HKeys(ctx, k.refs).Val(), ","), "a new0")
		equal(t, "the last that went", rdb.HGet(ctx, k.meta, "lapsed").Val(), "5-39")
		equal(t, "a vote whose ledger was asked before", vote("old3"), "a")
		equal(t, "what the log holds stays", rdb.HExists(ctx, k.refs, "a new0").Val(), true)
	})
}

func TestWhatBecameOfAVoteReadsAsItWasWritten(t *testing.T) {
	for _, s := range []like.VoteState{
		{Known: true, Counted: true, Weight: 5, Version: 77 << 20}, {Known: true, Weight: 1_000_000_000, Version: 1}, {Known: true, Version: 3},
	} {
		got, err := like.ParseVoteState(s.String())
		ok(t, err)
		equal(t, "state", got, s)
	}
	for _, text := range []string{"", "5 1-1", "+ 1-1", "+5", "+05 1-1", "+-5 1-1", "+5  1-1", "+5 1-1 6", "+1000000001 1-1"} {
		if s, err := like.ParseVoteState(text); err == nil {
			t.Errorf("%q reads as %v", text, s)
		}
	}
}
