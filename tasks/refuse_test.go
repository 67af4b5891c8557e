package tasks_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"plusone/hotpath/counter"
	"plusone/hotpath/like"
	"plusone/scripts/dev/private/privatetest"
)

// refuseBad makes the ledger refuse a user with a constraint, another with a
// trigger's exception.
func (w *works) refuseBad() {
	w.t.Helper()
	w.exec(`ALTER TABLE likes ADD CHECK (user_id <> 'bad')`)
	w.exec(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN IF NEW.user_id = 'worse' THEN RAISE 'no'; END IF; RETURN NEW; END $$`)
	w.exec(`CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON likes FOR EACH ROW EXECUTE FUNCTION refuse()`)
}

func (w *works) state(r like.Receipt, user string) like.State {
	w.t.Helper()
	s, err := w.ledger.ReceiptState(w.t.Context(), r, user)
	check(w.t, err)
	return s.State
}

func TestABadRowAmongThousandsIsUndoneAndHoldsNothingUp(t *testing.T) {
	w := newWorks(t)
	w.refuseBad()
	item := itemIn(2)
	all := slices.Concat(users("a", 2000), []string{"bad"}, users("c", 2095))
	results := w.want(item, like.Liked, all...)
	if s := w.state(results[2000].Receipt, "bad"); s != like.Accepted {
		t.Fatalf("before the drain its receipt says %s", s)
	}
	w.drainAll()
	if n := len(w.agree(item)[item]); n != 4095 {
		t.Fatalf("%d likes of 4095", n)
	}
	if s := w.state(results[2000].Receipt, "bad"); s != like.Compensated {
		t.Fatalf("its receipt says %s", s)
	}
	if s := w.state(results[2000].Receipt, "a00000"); s != like.Persisted {
		t.Fatalf("a good receipt says %s", s)
	}
	w.drainAll() // silent
	if n := w.number(`SELECT count(*) FROM dead_letters WHERE user_id = 'bad' AND undone AND liked AND error LIKE '%23514%'`); n != 1 {
		t.Fatalf("%d dead letters, want 1", n)
	}
	if r := w.want(item, like.Liked, "bad"); !r[0].Changed || r[0].Count != 4096 {
		t.Fatalf("asking again: %+v", r[0])
	}
}

func TestRefusedChangesEndWhereTheLedgerIs(t *testing.T) {
	for name, asked := range map[string][][]like.Want{ // per drain
		"a like":                            {{like.Liked}},
		"a like taken back at once":         {{like.Liked, like.NotLiked}},
		"a like taken back later":           {{like.Liked}, {like.NotLiked}},
		"there and back and there":          {{like.Liked, like.NotLiked, like.Liked}},
		"a like, and one more after it":     {{like.Liked}, {like.Liked}},
		"a like taken back, and once again": {{like.Liked, like.NotLiked}, {like.Liked}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorks(t)
			w.refuseBad()
			item := itemIn(0)
			w.want(item, like.Liked, "good")
			changes := 0
			for _, batch := range asked {
				for _, want := range batch {
					for _, r := range w.want(item, want, "bad", "worse") {
						if r.Changed {
							changes++
						}
					}
				}
				w.drainAll()
				if got := w.agree(item)[item]; !slices.Equal(got, []string{"good"}) {
					t.Fatalf("likers %v", got)
				}
			}
			if n := w.number(`SELECT count(*) FROM dead_letters`); int(n) != changes {
				t.Fatalf("%d dead letters for %d changes", n, changes)
			}
		})
	}
}

func TestARefusedUnlikeComesBack(t *testing.T) {
	w := newWorks(t)
	item := itemIn(0)
	w.want(item, like.Liked, "bad", "good")
	w.drainAll()
	w.exec(`ALTER TABLE likes ADD CHECK (user_id <> 'bad' OR liked)`)
	r := w.want(item, like.NotLiked, "bad")[0]
	w.drainAll()
	if got := w.agree(item)[item]; len(got) != 2 {
		t.Fatalf("likers %v", got)
	}
	if s := w.state(r.Receipt, "bad"); s != like.Compensated {
		t.Fatalf("its receipt says %s", s)
	}
}

func TestARefusalWhoseCommitIsLostIsRefusedAgain(t *testing.T) {
	w := newWorks(t)
	w.refuseBad()
	item := itemIn(0)
	w.want(item, like.Liked, "a", "bad", "c")
	cut, url := newCutter(t, w.pg)
	cut.next.Store(lose)
	if err := w.over("", url).Drain(t.Context(), 0); !errors.Is(err, like.ErrUnavailable) {
		t.Fatal(err)
	}
	w.drainAll()
	if got := w.agree(item)[item]; !slices.Equal(got, []string{"a", "c"}) {
		t.Fatalf("likers %v", got)
	}
	if n := w.number(`SELECT count(*) FROM dead_letters`); n != 1 {
		t.Fatalf("%d dead letters", n)
	}
}

func TestAnUndoWhoseNetworkFailsIsDoneOnceInTheEnd(t *testing.T) {
	for name, fail := range map[string]func(*privatetest.Proxy){
		"and was not applied": func(p *privatetest.Proxy) { p.Cut(true) },
		"but was applied":     func(p *privatetest.Proxy) { p.DropReplies(true) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorks(t)
			item := itemIn(0)
			w.want(item, like.Liked, "a")
			w.drainAll()
			w.refuseBad()
			w.want(item, like.NotLiked, "a")
			w.want(item, like.Liked, "bad", "c")
			proxy := privatetest.NewProxy(t, w.redis)
			waiting, release := w.hold(item, "a")
			done := make(chan error, 1)
			go func() { done <- w.over(proxy.Addr(), "").Drain(t.Context(), 0) }()
			await(t, "the drain has read the log and writes", waiting)
			fail(proxy)
			release()
			if err := <-done; !errors.Is(err, like.ErrUnavailable) {
				t.Fatalf("cut off from Redis: %v", err)
			}
			if n := w.number(`SELECT count(*) FROM dead_letters`); n != 0 {
				t.Fatalf("%d dead letters of an undo that nobody confirmed", n)
			}
			w.drainAll()
			if got := w.agree(item)[item]; !slices.Equal(got, []string{"c"}) {
				t.Fatalf("likers %v", got)
			}
			if n := w.number(`SELECT count(*) FROM dead_letters`); n != 1 {
				t.Fatalf("%d dead letters", n)
			}
		})
	}
}

// write appends a log entry by hand.
func (w *works) write(shard int, text string) {
	w.t.Helper()
	check(w.t, w.rdb.XAdd(w.t.Context(), &redis.XAddArgs{
		Stream: fmt.Sprintf("p1:{%d}:log", shard), Values: []string{"d", text},
	}).Err())
}

func TestTextThatPostgresCannotHoldIsDroppedAlone(t *testing.T) {
	w := newWorks(t)
	w.write(0, "i +a +\xff +b\nj\x00 +a")
	w.write(0, "i +c +n\x00 -a")
	w.drainAll()
	if n := w.number(`SELECT count FROM item_counts WHERE item_id = 'i'`); n != 2 {
		t.Fatalf("%d likes of b and c", n)
	}
	if n := w.number(`SELECT count(*) FROM dead_letters WHERE (item_id, user_id) IN
		(('i', '"\xff"'), ('"j\x00"', 'a'), ('i', '"n\x00"'))`); n != 3 {
		t.Fatalf("%d of 3 dead letters", n)
	}
}

func TestAnUnreadableEntryIsKeptAndPassed(t *testing.T) {
	w := newWorks(t)
	w.write(0, "i +a")
	w.write(0, "what is this\xff?\ni +b")
	check(t, w.rdb.XAdd(t.Context(), &redis.XAddArgs{Stream: "p1:{0}:log", Values: []string{"x", "y"}}).Err())
	check(t, w.rdb.XAdd(t.Context(), &redis.XAddArgs{Stream: "p1:{0}:log", Values: []string{"m", "mark"}}).Err())
	w.write(0, "i +c")
	w.drainAll()
	if n := w.number(`SELECT count FROM item_counts WHERE item_id = 'i'`); n != 3 {
		t.Fatalf("%d readable likes of 3", n)
	}
	if n := w.number(`SELECT count(*) FROM dead_letters WHERE item_id = '' AND NOT undone`); n != 2 {
		t.Fatalf("%d of 2 dead letters", n)
	}
}

func TestAnEntryOfAnotherShardsItemIsApplied(t *testing.T) {
	w := newWorks(t)
	item := itemIn(1)
	w.write(0, item+" +a")
	w.drainAll()
	if b := w.number(`SELECT bucket FROM item_counts WHERE item_id = $1 AND count = 1`, item); int(b) != counter.Bucket(item) {
		t.Fatalf("bucket %d", b)
	}
}

func TestAnErrorThatIsNotTheDatasBlamesNobody(t *testing.T) {
	w := newWorks(t)
	item := itemIn(0)
	w.want(item, like.Liked, "a", "b")
	w.exec(`ALTER TABLE likes RENAME TO hidden`)
	if err := w.drainer.Drain(t.Context(), 0); err == nil || errors.Is(err, like.ErrUnavailable) {
		t.Fatalf("without the table: %v", err)
	}
	w.exec(`ALTER TABLE hidden RENAME TO likes`)
	w.drainAll()
	if n := len(w.agree(item)[item]); n != 2 {
		t.Fatalf("%d likes of 2", n)
	}
	if n := w.number(`SELECT count(*) FROM dead_letters`); n != 0 {
		t.Fatalf("%d dead letters", n)
	}
}

func TestARefusedRowOfADamagedItemHoldsNothingUp(t *testing.T) {
	for name, damage := range map[string][]any{
		"a count that is no number": {"HSET", "p1:{1}:counts", itemIn(1), "abc"},
		"a set of another type":     {"SET", "p1:{1}:likers:" + itemIn(1), "stray"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorks(t)
			item := itemIn(1)
			w.exec(`ALTER TABLE likes ADD CONSTRAINT no CHECK (user_id <> 'bad')`)
			w.want(item, like.Liked, "bad", "good")
			check(t, w.rdb.Do(t.Context(), damage...).Err())
			check(t, w.drainer.Drain(t.Context(), 1))
			if n := w.number(`SELECT count(*) FROM likes WHERE user_id = 'good'`); n != 1 {
				t.Error("the good row was held up")
			}
			if n := w.number(`SELECT count(*) FROM dead_letters WHERE user_id = 'bad'`); n != 1 {
				t.Errorf("%d dead letters", n)
			}
		})
	}
}

// A batch that its time does not suffice for is tried again in smaller parts.
func TestABatchThatDoesNotEndInTimeIsMadeSmaller(t *testing.T) {
	w := newWorks(t)
	for i := range 40 {
		w.want(itemIn(1), like.Liked, fmt.Sprintf("u%d", i))
	}
	tx, err := w.pool.Begin(t.Context()) // holds the batch up
	check(t, err)
	_, err = tx.Exec(t.Context(), `LOCK TABLE likes IN ACCESS EXCLUSIVE MODE`)
	check(t, err)
	w.drainer.SetPatience(200 * time.Millisecond)
	err = w.drainer.Drain(t.Context(), 1)
	check(t, tx.Rollback(t.Context()))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("drain: %v", err)
	}
	if n := w.drainer.Size(1); n != 512 {
		t.Errorf("the next batch takes %d changes", n)
	}
	w.drainer.SetPatience(time.Minute)
	w.drainAll()
	if n := w.drainer.Size(1); n != 1024 {
		t.Errorf("after a success the next one takes %d", n)
	}
	w.agree(itemIn(1))
}
