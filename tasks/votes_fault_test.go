package tasks_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"plusone/hotpath/counter"
	"plusone/hotpath/like"
	"plusone/scripts/dev/private/privatetest"
	"plusone/tasks"
	"plusone/tasks/ledger"
)

// frail is one more process, which reaches the stores of a works by wires that lose
// what a test has chosen.
type frail struct {
	*counter.Counter
	drainer   *tasks.Drainer
	redis, pg *privatetest.Wire
}

func newFrail(w *works) *frail {
	w.t.Helper()
	f := &frail{redis: privatetest.NewWire(), pg: privatetest.NewWire()}
	cfg, err := pgxpool.ParseConfig(w.pg)
	check(w.t, err)
	cfg.ConnConfig.DialFunc = f.pg.Dial
	pool, err := pgxpool.NewWithConfig(w.t.Context(), cfg)
	check(w.t, err)
	w.t.Cleanup(pool.Close)
	l := ledger.New(pool)
	f.Counter = w.counter(redis.UniversalOptions{Dialer: f.redis.Dial}, l, shards)
	rdb := redis.NewClient(&redis.Options{Addr: w.redis, Dialer: f.redis.Dial, MaxRetries: -1, DialerRetries: 1})
	w.t.Cleanup(func() { _ = rdb.Close() })
	f.drainer = tasks.NewDrainer(counter.NewLog(rdb, shards), l, 0, prometheus.NewRegistry())
	return f
}

// losses calls do once for each exchange of what it does within cut, which loses that
// one: its request, and next time its reply.
func losses(w *privatetest.Wire, do func(name string, cut func(act func()))) {
	for _, reply := range []bool{false, true} {
		for n, lost := 0, true; lost; n++ {
			do(fmt.Sprintf("%d-%v", n, reply), func(act func()) {
				w.Lose(n, reply)
				act()
				lost = w.Calm()
			})
		}
	}
}

func tryVote(c *counter.Counter, item, ref string, want like.VoteWant, weight int32) like.Voted {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return c.Vote(ctx, like.VoteOp{Item: item, Ref: ref, Want: want, Weight: weight})
}

// vote asks something of a vote; the answer must be good.
func (w *works) vote(item, ref string, want like.VoteWant, weight int32) like.Voted {
	w.t.Helper()
	v := tryVote(w.Counter, item, ref, want, weight)
	check(w.t, v.Err)
	return v
}

// agreeVotes fails unless both stores have so many likes and votes of that sum.
func (w *works) agreeVotes(item string, likes, votes int64, shards int) {
	w.t.Helper()
	in := fmt.Sprintf("p1:{%d}:", counter.ShardOf(item, shards))
	count, _ := w.rdb.HGet(w.t.Context(), in+"counts", item).Int64()
	sum, _ := w.rdb.HGet(w.t.Context(), in+"votes", item).Int64()
	card := w.rdb.SCard(w.t.Context(), in+"likers:"+item).Val()
	rows := w.number(`SELECT coalesce(sum(weight), 0) FROM votes WHERE item_id = $1 AND counted`, item)
	liked := w.number(`SELECT count(*) FROM likes WHERE item_id = $1 AND liked`, item)
	has := w.number(`SELECT count FROM item_counts WHERE item_id = $1`, item)
	hasSum := w.number(`SELECT coalesce(votes, 0) FROM item_counts WHERE item_id = $1`, item)
	if count != likes+votes || sum != votes || card != likes || rows != votes || liked != likes || has != likes+votes || hasSum != votes {
		w.t.Fatalf("%s has %d likes and votes of %d; Redis says %d = %d + %d, the ledger %d, of which votes %d, and its rows %d + %d",
			item, likes, votes, count, card, sum, has, hasSum, liked, rows)
	}
}

func TestAVoteWhoseCallIsCutOffAnywhereCountsOnceWhenRepeated(t *testing.T) {
	w := newWorks(t)
	f, item := newFrail(w), itemIn(0)
	check(t, tryVote(f.Counter, item, "first", like.CountVote, 1).Err)
	sum, outcomes := int64(1), map[string]int{}
	for _, wire := range []*privatetest.Wire{f.redis, f.pg} {
		losses(wire, func(name string, cut func(act func())) {
			ref := fmt.Sprintf("%s-%d", name, sum)
			for _, want := range []like.VoteWant{like.CountVote, like.RefundVote} {
				var err error
				cut(func() { err = tryVote(f.Counter, item, ref, want, 10).Err })
				applied := tryVote(w.Counter, item, ref, like.LookAtVote, 0).Counted == (want == like.CountVote)
				switch {
				case err == nil && applied, errors.Is(err, like.ErrUnknown):
					outcomes[fmt.Sprint(err == nil, applied)]++
				case errors.Is(err, like.ErrUnavailable) && !applied:
					outcomes["refused"]++
				default:
					t.Fatalf("%s: %v, and applied: %v", ref, err, applied)
				}
				again, third := tryVote(f.Counter, item, ref, want, 10), w.vote(item, ref, want, 10)
				if again != third || again.Counted != (want == like.CountVote) || again.Weight != 10 {
					t.Fatalf("%s asked again: %+v and %+v", ref, again, third)
				}
			}
			w.vote(item, ref+"'", like.CountVote, 10)
			sum += 10
		})
	}
	if outcomes["false true"] == 0 || outcomes["false false"] == 0 || outcomes["refused"] == 0 {
		t.Fatalf("some outcome never came: %v", outcomes)
	}
	w.drainAll()
	w.agreeVotes(item, 0, sum, shards)
}

func TestADrainThatIsCutOffAnywhereMovesItsVotesOnce(t *testing.T) {
	w := newWorks(t)
	f, item, steps := newFrail(w), itemIn(0), 0
	check(t, f.drainer.Drain(t.Context(), 0)) // connects
	for _, wire := range []*privatetest.Wire{f.redis, f.pg} {
		losses(wire, func(name string, cut func(act func())) {
			steps++
			ref, users := fmt.Sprintf("%d-%s", steps, name), users(fmt.Sprint(steps), 3)
			w.want(item, like.Liked, users...)
			w.vote(item, "kept"+ref, like.CountVote, 10)
			w.vote(item, "back"+ref, like.CountVote, 500)
			w.vote(item, "early"+ref, like.RefundVote, 0)
			cut(func() {
				if err := f.drainer.Drain(t.Context(), 0); err != nil && !errors.Is(err, like.ErrUnavailable) {
					t.Errorf("%s: %v", ref, err)
				}
			})
			w.vote(item, "back"+ref, like.RefundVote, 0)
			w.drainAll()
			w.agreeVotes(item, int64(3*steps), int64(10*steps), shards)
		})
	}
	if steps < 12 {
		t.Fatalf("a drain of votes was cut off at %d places", steps)
	}
	if n := w.number(`SELECT count(*) FROM dead_letters`); n != 0 {
		t.Fatalf("%d dead letters", n)
	}
}

// Of 50 callers half want it counted, half want it back, over two processes and under
// drains. Whoever comes first decides what the vote weighs; all later ones hear it.
func TestRacingVotesAndRefundsOfOneRefHappenOnceEach(t *testing.T) {
	w := newWorks(t)
	item, twin := itemIn(0), w.counter(redis.UniversalOptions{}, w.ledger, shards)
	w.want(item, like.Liked, "ann")
	outcomes := map[int]int{}
	for round := range 6 {
		ref := fmt.Sprint("pay", round)
		if round%3 > 0 {
			w.vote(item, ref, like.CountVote, 5)
		}
		if round%3 > 1 {
			w.drain(0)
		}
		answers := make([]like.Voted, 50)
		var all sync.WaitGroup
		for i := range answers {
			all.Go(func() {
				c := []*counter.Counter{w.Counter, twin}[i/2%2]
				answers[i] = tryVote(c, item, ref, []like.VoteWant{like.CountVote, like.RefundVote}[i%2], 5)
			})
		}
		all.Go(func() {
			if err := w.drainer.Drain(t.Context(), 0); err != nil && !errors.Is(err, tasks.ErrUnfinished) {
				t.Error(err)
			}
		})
		all.Wait()
		states := map[like.VoteState]bool{}
		for i, v := range answers {
			check(t, v.Err)
			if i%2 == 1 && v.Counted || round%3 > 0 && v.Weight != 5 {
				t.Fatalf("caller %d of %s is told %+v", i, ref, v)
			}
			states[v.VoteState] = true
		}
		outcomes[len(states)]++
		end := w.vote(item, ref, like.LookAtVote, 0)
		if len(states) > 2 || !states[end.VoteState] || end.Counted {
			t.Fatalf("%s was answered in %d ways: %v", ref, len(states), states)
		}
	}
	w.drainAll()
	w.agreeVotes(item, 1, 0, shards)
	t.Log("ways in which a ref was answered:", outcomes)
}

func TestVotesOutliveAChangeOfTheNumberOfShards(t *testing.T) {
	for _, to := range []int{2, 8} {
		t.Run(fmt.Sprint("from 4 to ", to), func(t *testing.T) { reshardVotes(t, to) })
	}
}

// reshardVotes changes the number of shards, as `plusone migrate shards` does, while
// votes are in the ledger, in the log, and in both.
func reshardVotes(t *testing.T, to int) {
	w := newWorks(t)
	weights := map[string]int32{"ledger": 5, "log": 30, "back": 7, "early": 9}
	told := map[string]like.VoteState{}
	items := []string{itemIn(0), itemIn(1), itemIn(2), itemIn(3)}
	for _, item := range items {
		w.vote(item, "ledger", like.CountVote, 5)
		w.vote(item, "back", like.CountVote, 7)
	}
	w.drainAll()
	for _, item := range items {
		w.want(item, like.Liked, "ann")
		w.vote(item, "log", like.CountVote, 30)
		w.vote(item, "back", like.RefundVote, 0)
		w.vote(item, "early", like.RefundVote, 0)
		for ref := range weights {
			told[item+ref] = w.vote(item, ref, like.LookAtVote, 0).VoteState
		}
	}

	check(t, w.log.Move(t.Context(), to))
	refused := func() {
		t.Helper()
		if err := tryVote(w.Counter, items[0], "new", like.CountVote, 5).Err; !errors.Is(err, like.ErrUnavailable) {
			t.Fatalf("a vote for the old number of shards: %v", err)
		}
	}
	refused()
	w.drainAll()
	check(t, w.ledger.ChangeShards(t.Context(), shards, to))
	check(t, w.log.Retire(t.Context(), to))
	refused()

	c := w.counter(redis.UniversalOptions{}, w.ledger, to)
	for _, item := range items {
		for ref, weight := range weights {
			v := tryVote(c, item, ref, like.CountVote, weight)
			check(t, v.Err)
			if v.VoteState != told[item+ref] || v.Count != 36 {
				t.Fatalf("%s of %s is %+v, was %+v", ref, item, v, told[item+ref])
			}
		}
		if v := tryVote(c, item, "ledger", like.RefundVote, 0); v.Err != nil || v.Count != 31 || v.Version <= told[item+"ledger"].Version {
			t.Fatalf("given back: %+v", v)
		}
	}
	drainer := tasks.NewDrainer(counter.NewLog(w.rdb, to), w.ledger, 0, prometheus.NewRegistry())
	for shard := range to {
		check(t, drainer.Drain(t.Context(), shard))
	}
	for _, item := range items {
		w.agreeVotes(item, 1, 30, to)
	}
}

// A ledger that is restored from an older backup lacks what was drained since, which
// no log holds any more. Of a vote that Redis has forgotten it can't be asked before it
// has caught up.
func TestVotesAreTakenSoonAfterTheLedgerWasRestoredFromABackup(t *testing.T) {
	w := newWorker(t)
	item := itemIn(0)
	w.works.vote(item, "old", like.CountVote, 5)
	await(t, "the first vote is drained", func() bool { return w.entries() == 0 })
	tables := []string{"votes", "item_counts", "likes", "watermarks"}
	for _, table := range tables {
		w.exec(`CREATE TABLE backup_` + table + ` AS TABLE ` + table)
	}
	w.works.vote(item, "kept", like.CountVote, 10)
	w.want(item, like.Liked, "ann")
	await(t, "all is drained", func() bool { return w.entries() == 0 })
	check(t, w.rdb.FlushAll(t.Context()).Err()) // Redis forgets what became of each
	w.works.vote(item, "old", like.CountVote, 5)
	await(t, "the opening of the shard is drained", func() bool { return w.entries() == 0 })
	for _, table := range tables {
		w.exec(`TRUNCATE ` + table)
		w.exec(`INSERT INTO ` + table + ` TABLE backup_` + table)
	}
	w.works.vote(item, "new", like.CountVote, 20) // has ten seconds, and needs about two
	await(t, "all is drained again", func() bool { return w.entries() == 0 })
	if n := w.number(`SELECT votes FROM item_counts WHERE item_id = $1`, item); n != 25 {
		t.Errorf("the ledger has votes of %d", n)
	}
}
