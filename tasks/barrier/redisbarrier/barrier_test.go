package redisbarrier_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"plusone/scripts/dev/private/privatetest"
	"plusone/tasks/barrier"
	"plusone/tasks/barrier/redisbarrier"
)

func TestMain(m *testing.M) { privatetest.Main(m, privatetest.NoLeaks) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB) *redis.Client {
	t.Helper()
	opt, err := redis.ParseURL(privatetest.Redis(t).URL())
	must(t, err)
	rdb := redis.NewClient(opt)
	t.Cleanup(func() { _ = rdb.Close() })
	return rdb
}

const memory = time.Hour

// points gives a point to the op's user, at most three; what an item asks for
// comes first.
var points = redisbarrier.Work{
	Keys: func(op barrier.Op) []string { return []string{"points:{" + op.User + "}"} },
	Try: `
		if op.item == 'nil' then return op.none.none end
		if op.item == 'table' then return {} end
		if tonumber(redis.call('GET', key[1]) or 0) >= 3 then return 'enough for ' .. op.user end
		redis.call('INCR', key[1])`,
	Compensate: `redis.call('DECR', key[1])`,
}

func do(t testing.TB, rdb redisbarrier.Pipeliner, step barrier.Step, ops ...barrier.Op) []barrier.Answer {
	t.Helper()
	answers, err := redisbarrier.New("points", memory, points).Do(t.Context(), rdb, step, ops)
	must(t, err)
	return answers
}

func op(saga, user string) barrier.Op {
	return barrier.Op{Saga: "sag_" + saga, Item: "i", User: user, Liked: true}
}

func results(answers []barrier.Answer) string {
	var all []string
	for _, a := range answers {
		all = append(all, string(a.Result))
	}
	return strings.Join(all, " ")
}

func TestABatchOfManyUsersIsAnsweredInItsOrder(t *testing.T) {
	rdb := open(t)
	var ops []barrier.Op
	for i := range barrier.MaxOps {
		ops = append(ops, op(fmt.Sprint(i), fmt.Sprintf("u%d", i%7)))
	}
	for range 2 { // a repeat says the same
		for i, a := range do(t, rdb, barrier.Try, ops...) {
			if a.Saga != ops[i].Saga || (a.Result == barrier.Done) != (i < 3*7) || a.Result == barrier.Rejected && a.Reason != "enough for "+ops[i].User {
				t.Fatalf("%d: %+v", i, a)
			}
		}
	}
	if got := rdb.MGet(t.Context(), "points:{u0}", "points:{u6}").Val(); fmt.Sprint(got) != "[3 3]" {
		t.Errorf("%v points", got)
	}
	for _, a := range do(t, rdb, barrier.Compensate, ops...) {
		if a.Result != barrier.Done {
			t.Fatalf("%+v", a)
		}
	}
	if got := rdb.MGet(t.Context(), "points:{u0}", "points:{u6}").Val(); fmt.Sprint(got) != "[0 0]" {
		t.Errorf("%v points", got)
	}
}

func TestAnOpThatFailsLeavesNothingAndHoldsNoOtherUp(t *testing.T) {
	rdb := open(t)
	must(t, rdb.HSet(t.Context(), "points:{bad}", "a", "b").Err())
	// INCR of what is no number fails at the write, after the look.
	must(t, rdb.Set(t.Context(), "points:{word}", "1.5", 0).Err())
	broken := op("5", "good")
	broken.Item = "nil"
	answers := do(t, rdb, barrier.Try, op("1", "good"), op("2", "bad"), op("3", "good"), op("4", "word"), broken)
	if got := results(answers); got != "done retry done retry retry" {
		t.Fatalf("%+v", answers)
	}
	if keys := rdb.Keys(t.Context(), "*barrier:*").Val(); len(keys) != 2 {
		t.Errorf("records: %q", keys)
	}
	must(t, rdb.Del(t.Context(), "points:{bad}").Err())
	if got := results(do(t, rdb, barrier.Try, op("1", "good"), op("2", "bad"))); got != "done done" {
		t.Errorf("after the repair: %s", got)
	}
	must(t, rdb.Del(t.Context(), "points:{bad}").Err())
	must(t, rdb.HSet(t.Context(), "points:{bad}", "a", "b").Err())
	for _, want := range []string{"retry", "done", "done"} {
		if got := results(do(t, rdb, barrier.Compensate, op("2", "bad"))); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		must(t, rdb.Set(t.Context(), "points:{bad}", "1", 0).Err())
	}
}

func TestARecordThatIsNoRecordIsLeftAlone(t *testing.T) {
	rdb := open(t)
	must(t, rdb.HSet(t.Context(), "{u}barrier:points:sag_1", "a", "b").Err())
	if got := results(do(t, rdb, barrier.Try, op("1", "u"), op("2", "u"))); got != "retry done" {
		t.Error(got)
	}
}

func TestAReasonThatIsNoTextIsATextAllTheSame(t *testing.T) {
	rdb := open(t)
	o := op("1", "u")
	o.Item = "table"
	if a := do(t, rdb, barrier.Try, o)[0]; a.Result != barrier.Rejected || a.Reason == "" {
		t.Errorf("%+v", a)
	}
	if a := do(t, rdb, barrier.Try, op("1", "u"))[0]; a.Result != barrier.Rejected {
		t.Errorf("%+v", a)
	}
}

func TestWhatRedisRefusesAsAWholeIsNotHalfDone(t *testing.T) {
	rdb := open(t)
	do(t, rdb, barrier.Try, op("0", "u")) // knows the script
	must(t, rdb.ConfigSet(t.Context(), "maxmemory", "1").Err())
	answers := do(t, rdb, barrier.Try, op("1", "u"), op("2", "u"))
	if got := results(answers); got != "retry retry" || !strings.Contains(answers[0].Reason, "OOM") {
		t.Fatalf("%+v", answers)
	}
	must(t, rdb.ConfigSet(t.Context(), "maxmemory", "0").Err())
	if got := results(do(t, rdb, barrier.Try, op("1", "u"), op("2", "u"))); got != "done done" {
		t.Error(got)
	}
	if n := rdb.Get(t.Context(), "points:{u}").Val(); n != "3" {
		t.Errorf("%s points", n)
	}
}

func TestARecordIsForgottenInTimeAndNoSooner(t *testing.T) {
	rdb := open(t)
	for _, step := range []barrier.Step{barrier.Try, barrier.Compensate} {
		do(t, rdb, step, op("1", "u"))
		if ttl := rdb.PTTL(t.Context(), "{u}barrier:points:sag_1").Val(); ttl < memory-time.Minute || ttl > memory {
			t.Errorf("%s: %v", step, ttl)
		}
		must(t, rdb.PExpire(t.Context(), "{u}barrier:points:sag_1", time.Minute).Err())
	}
}

func TestAScriptThatTheServerHasForgottenIsSentAgain(t *testing.T) {
	rdb := open(t)
	for i := range 3 {
		if got := results(do(t, rdb, barrier.Try, op(fmt.Sprint("a", i), "u"), op(fmt.Sprint("b", i), "v"))); got != "done done" {
			t.Error(got)
		}
		must(t, rdb.ScriptFlush(t.Context()).Err())
	}
}

func TestKeysOnTwoSlotsAreRefused(t *testing.T) {
	rdb := open(t)
	for _, keys := range [][]string{nil, {"a", "b"}, {"{a}x", "{b}x"}, {"{a}x", "a", "b"}, {"}"}, {""}, {"{}x}"}} {
		b := redisbarrier.New("p", memory, redisbarrier.Work{Keys: func(barrier.Op) []string { return keys }})
		if _, err := b.Do(t.Context(), rdb, barrier.Try, []barrier.Op{op("1", "u")}); err == nil {
			t.Errorf("%q is accepted", keys)
		}
	}
	for _, keys := range [][]string{{"a"}, {"{a}x", "a", "y{a}"}, {"{a", "{a"}} {
		b := redisbarrier.New("p", memory, redisbarrier.Work{Keys: func(barrier.Op) []string { return keys }})
		answers, err := b.Do(t.Context(), rdb, barrier.Try, []barrier.Op{op("1", "u")})
		if err != nil || results(answers) != "done" {
			t.Errorf("%q: %v %v", keys, answers, err)
		}
	}
}
