package tasks_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"plusone/hotpath/counter"
	"plusone/hotpath/like"
	"plusone/tasks"
	"plusone/tasks/ledger"
)

// marked is a user whose id stands nowhere by chance.
const marked = "erase-me-7f3a91"

// applier lets a test stand between an Eraser and the counter.
type applier func(ctx context.Context, ops []like.Op, results []like.Result) error

func (f applier) Apply(ctx context.Context, ops []like.Op, results []like.Result) error {
	return f(ctx, ops, results)
}

// eraser erases through likes, with a worker that drains when it is asked to.
func (w *works) eraser(likes tasks.Applier) *tasks.Eraser {
	return &tasks.Eraser{Likes: likes, Log: w.log, Ledger: w.ledger, Wait: 5 * time.Second, Ring: func(shards ...int) {
		for _, s := range shards {
			_ = w.drainer.Drain(w.t.Context(), s) // asked again until it has succeeded
		}
	}}
}

// places lists every table and key that holds text.
func (w *works) places(text string) (found []string) {
	w.t.Helper()
	rows, err := w.pool.Query(w.t.Context(), `SELECT table_name::text FROM information_schema.tables WHERE table_schema = current_schema()`)
	check(w.t, err)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	check(w.t, err)
	if len(tables) < 9 {
		w.t.Fatalf("tables %q", tables)
	}
	for _, table := range tables {
		if n := w.number(`SELECT count(*) FROM `+table+` AS t WHERE strpos(t::text, $1) > 0`, text); n > 0 {
			found = append(found, fmt.Sprintf("table %s: %d rows", table, n))
		}
	}
	keys, err := w.rdb.Keys(w.t.Context(), "*").Result()
	check(w.t, err)
	for _, key := range keys {
		ctx, value := w.t.Context(), ""
		switch w.rdb.Type(ctx, key).Val() {
		case "string":
			value = w.rdb.Get(ctx, key).Val()
		case "set":
			value = fmt.Sprint(w.rdb.SMembers(ctx, key).Val())
		case "hash":
			value = fmt.Sprint(w.rdb.HGetAll(ctx, key).Val())
		case "list":
			value = fmt.Sprint(w.rdb.LRange(ctx, key, 0, -1).Val())
		case "zset":
			value = fmt.Sprint(w.rdb.ZRange(ctx, key, 0, -1).Val())
		case "stream":
			value = fmt.Sprint(w.rdb.XRange(ctx, key, "-", "+").Val())
		case "none": // it has ended meanwhile
		default:
			w.t.Fatalf("key %s has an unknown type", key)
		}
		if strings.Contains(key+value, text) {
			found = append(found, "key "+key)
		}
	}
	return found
}

// scatter puts the marked user wherever a user can be, and returns the items.
func (w *works) scatter() (items []string) {
	w.t.Helper()
	ctx := w.t.Context()
	for n := range 12 {
		items = append(items, fmt.Sprintf("post-%d", n))
		w.want(items[n], like.Liked, users("other", n)...)
		w.want(items[n], like.Liked, marked)
	}
	w.want(items[1], like.NotLiked, marked)
	w.want(items[2], like.NotLiked, marked)
	w.want(items[2], like.Liked, marked)
	w.drainAll()
	at := func(item string) (int, string, string) {
		s := counter.ShardOf(item, shards)
		return s, fmt.Sprintf("p1:{%d}:likers:%s", s, item), fmt.Sprintf("p1:{%d}:counts", s)
	}
	// Partly resident, known to like it and known not to.
	for _, item := range items[8:10] {
		s, _, _ := at(item)
		_, err := w.log.Shrink(ctx, s, item, 1, 1)
		check(w.t, err)
	}
	w.want(items[8], like.Liked, marked)
	w.want(items[9], like.NotLiked, marked)
	w.drainAll()
	// Cold, with and without a set that somebody has forgotten there.
	for _, item := range items[3:5] {
		_, likers, counts := at(item)
		check(w.t, errors.Join(w.rdb.Del(ctx, likers).Err(), w.rdb.HDel(ctx, counts, item).Err()))
	}
	_, likers, _ := at(items[4])
	check(w.t, w.rdb.SAdd(ctx, likers, marked, "%"+marked).Err())
	// Lost by Redis; lost by the ledger.
	_, likers, counts := at(items[5])
	check(w.t, errors.Join(w.rdb.SRem(ctx, likers, marked).Err(), w.rdb.HIncrBy(ctx, counts, items[5], -1).Err()))
	w.exec(`DELETE FROM likes WHERE item_id = $1 AND user_id = $2`, items[6], marked)
	w.exec(`UPDATE item_counts SET count = count - 1 WHERE item_id = $1`, items[6])
	// A load that was cut off, a dead letter, a repair, and what is not drained.
	check(w.t, w.rdb.SAdd(ctx, fmt.Sprintf("p1:{%d}:loaded:gone", counter.ShardOf("gone", shards)), marked).Err())
	w.exec(`INSERT INTO dead_letters (shard, version, item_id, user_id, liked, undone, error) VALUES (1, 2, 'x', $1, true, true, 'no')`, marked)
	id, err := w.ledger.Revoke(ctx, []string{marked, "other"}, nil, ledger.By{Reason: "r"})
	check(w.t, err)
	w.exec(`INSERT INTO revoked_likes (revocation_id, user_id, item_id, version) VALUES ($1, $2, 'x', 1)`, id, marked)
	check(w.t, w.ledger.Note(ctx, []ledger.Repair{{Run: "r", Item: "x", User: marked, Side: "counter", Before: "a", After: "b", Cause: "c"}}))
	w.want("late", like.Liked, "somebody", marked)
	return append(items, "late")
}

func TestAnErasedUserLeavesNoTraceAndRightCounts(t *testing.T) {
	w := newWorks(t)
	items := w.scatter()
	e := w.eraser(w)
	before, err := e.Look(t.Context(), marked)
	check(t, err)
	if len(before.Ledger.Liked) != 9 || len(before.Ledger.Removed) != 2 || before.Ledger.DeadLetters != 1 || before.Ledger.Repairs != 1 ||
		len(before.Redis.Liked) != 9 || len(before.Redis.Known) != 1 || len(before.Redis.Loading) != 1 || before.Entries != 1 {
		t.Errorf("found %+v", before)
	}
	if again, err := e.Look(t.Context(), marked); err != nil || again.Ledger.Len() != before.Ledger.Len() || again.Redis.Len() != before.Redis.Len() {
		t.Errorf("a look has changed something: %+v, %v", again, err)
	}
	done, err := e.Erase(t.Context(), marked)
	check(t, err)
	if found := w.places(marked); len(found) > 0 {
		t.Errorf("there are traces in %q", found)
	}
	if done.Unliked != 11 || done.Tombstones != 13 || done.DeadLetters != 1 || done.Repairs != 1 || done.Sets < 2 || done.Looks > 3 {
		t.Errorf("did %+v", done)
	}
	for n, item := range items[:12] { // the others are as they were
		count := w.read(item).Count
		rows := w.number(`SELECT count(*) FROM likes WHERE item_id = $1`, item)
		total := w.number(`SELECT count FROM item_counts WHERE item_id = $1`, item)
		if int(count) != n || int(rows) != n || int(total) != n {
			t.Errorf("%s counts %d, the ledger %d with %d rows, want %d", item, count, total, rows, n)
		}
	}
	if again, err := e.Erase(t.Context(), marked); err != nil || again != (tasks.Erasure{Looks: 1}) {
		t.Errorf("the second time: %+v, %v", again, err)
	}
}

func (w *works) read(item string) like.Reading {
	w.t.Helper()
	r, err := w.Read(w.t.Context(), []string{item}, "")
	check(w.t, err)
	return r[0]
}

// An erasure that ends anywhere is finished by the next one.
func TestAnErasureThatIsCutOffIsFinishedByTheNext(t *testing.T) {
	w := newWorks(t)
	w.scatter()
	lost := errors.New("the answer was lost")
	for n, fail := range []tasks.Applier{
		applier(func(context.Context, []like.Op, []like.Result) error { return lost }), // not applied
		applier(func(ctx context.Context, ops []like.Op, results []like.Result) error { // applied
			return errors.Join(w.Apply(ctx, ops, results), lost)
		}),
	} {
		if _, err := w.eraser(fail).Erase(t.Context(), marked); !errors.Is(err, lost) {
			t.Errorf("run %d: %v", n, err)
		}
	}
	idle := w.eraser(w)
	idle.Wait, idle.Ring = 100*time.Millisecond, func(...int) {}
	w.want("late", like.Liked, marked)
	if _, err := idle.Erase(t.Context(), marked); err == nil || !strings.Contains(err.Error(), "is a worker running?") {
		t.Errorf("without a worker: %v", err)
	}
	cut, url := newCutter(t, w.pg)
	for _, what := range []int32{lose, swallow} {
		w.want("late", like.Liked, marked)
		e := w.eraser(w)
		e.Ledger = w.through(url)
		cut.next.Store(what)
		if _, err := e.Erase(t.Context(), marked); err == nil {
			t.Errorf("cut %d: no error", what)
		}
	}
	_, err := w.eraser(w).Erase(t.Context(), marked)
	check(t, err)
	if found := w.places(marked); len(found) > 0 {
		t.Errorf("there are traces in %q", found)
	}
	w.drainAll()
	w.agree("late")
}

// What the user likes while the erasure is under way goes, too.
func TestALikeDuringAnErasureGoesWithIt(t *testing.T) {
	w := newWorks(t)
	w.want("a", like.Liked, marked, "other")
	var once sync.Once
	e := w.eraser(applier(func(ctx context.Context, ops []like.Op, results []like.Result) error {
		err := w.Apply(ctx, ops, results)
		once.Do(func() { w.want("a", like.Liked, marked); w.want("b", like.Liked, marked) })
		return err
	}))
	done, err := e.Erase(t.Context(), marked)
	check(t, err)
	if found := w.places(marked); len(found) > 0 || done.Unliked != 3 {
		t.Errorf("there are traces in %q; %+v", found, done)
	}
	w.agree("a", "b")
	w.want("a", like.Liked, marked) // a new like is like any other
	w.drainAll()
	if likers := w.agree("a")["a"]; len(likers) != 2 {
		t.Errorf("likers %q", likers)
	}
}

func TestWhoGoesOnLikingIsNotErasedAndNothingIsWrong(t *testing.T) {
	w := newWorks(t)
	w.want("a", like.Liked, marked, "other")
	e := w.eraser(applier(func(ctx context.Context, ops []like.Op, results []like.Result) error {
		defer w.want("a", like.Liked, marked)
		return w.Apply(ctx, ops, results)
	}))
	if _, err := e.Erase(t.Context(), marked); !errors.Is(err, tasks.ErrStillThere) {
		t.Errorf("%v", err)
	}
	w.drainAll()
	if likers := w.agree("a")["a"]; len(likers) != 2 {
		t.Errorf("likers %q", likers)
	}
}

func TestNobodyIsErasedWhileRedisIsAway(t *testing.T) {
	w := newWorks(t)
	w.want("a", like.Liked, marked)
	w.drainAll()
	w.exec(`UPDATE modes SET writes_to = 'ledger'`)
	if done, err := w.eraser(w).Erase(t.Context(), marked); !errors.Is(err, like.ErrElsewhere) || done.Unliked != 0 {
		t.Errorf("%+v, %v", done, err)
	}
}

// A tombstone above the watermark holds back what may still come; a liked row
// counts.
func TestOnlyTombstonesThatNothingNeedsAreDeleted(t *testing.T) {
	w := newWorks(t)
	w.want("a", like.Liked, marked)
	w.drainAll()
	shard := counter.ShardOf("b", shards)
	w.exec(`INSERT INTO likes (item_id, user_id, liked, version) VALUES ('b', $1, false, (SELECT version + 1 FROM watermarks WHERE shard = $2))`, marked, shard)
	gone, err := w.ledger.EraseUser(t.Context(), marked, []string{"a", "b"}, []int{counter.ShardOf("a", shards), shard})
	check(t, err)
	if gone != (ledger.Erased{}) || w.number(`SELECT count(*) FROM likes`) != 2 {
		t.Errorf("deleted %+v", gone)
	}
	w.exec(`UPDATE watermarks SET version = version + 1, floor = floor + 1 WHERE shard = $1`, shard)
	gone, err = w.ledger.EraseUser(t.Context(), marked, []string{"a", "b"}, []int{counter.ShardOf("a", shards), shard})
	check(t, err)
	if gone.Tombstones != 1 || w.number(`SELECT count(*) FROM likes WHERE liked`) != 1 {
		t.Errorf("deleted %+v", gone)
	}
}
