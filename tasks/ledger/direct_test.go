package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"

	"plusone/hotpath/like"
	"plusone/tasks/ledger"
)

func bucket(item string) int { return int(xxhash.Sum64String(item) % 4096) }

// goDirect switches to the ledger, as of so long ago.
func (s store) goDirect(ago time.Duration) {
	s.tb.Helper()
	m := s.beat(like.Beat{Process: "p"})
	must(s.tb, s.Switch(s.tb.Context(), "p", m.Epoch))
	s.exec(`UPDATE modes SET since = since - $1::interval`, ago)
}

func (s store) beat(b like.Beat) like.Mode {
	s.tb.Helper()
	m, err := s.Beat(s.tb.Context(), b)
	must(s.tb, err)
	return m
}

func (s store) direct() *ledger.Direct {
	return ledger.NewDirect(s.Ledger, ledger.DirectOptions{Shards: 4, Bucket: bucket, Window: time.Hour})
}

func op(item, user string, w like.Want) like.Op { return like.Op{Item: item, User: user, Want: w} }

// write writes ops directly; the call must not fail.
func (s store) write(ops ...like.Op) []like.Result {
	s.tb.Helper()
	results, err := s.direct().Write(s.tb.Context(), ops, 0)
	must(s.tb, err)
	return results
}

func TestASwitchNeedsThatNobodyElseReachesRedis(t *testing.T) {
	s := newStore(t)
	m := s.beat(like.Beat{Process: "a"})
	if m.Direct || m.Patience != 2*time.Second || m.Now.IsZero() {
		t.Fatalf("a new ledger's mode is %+v", m)
	}
	s.beat(like.Beat{Process: "b", RedisOK: true})
	must(t, s.Switch(t.Context(), "a", m.Epoch))
	if s.beat(like.Beat{Process: "a"}).Direct {
		t.Fatal("switched although another process reaches Redis")
	}
	s.exec(`UPDATE processes SET at = at - interval '2 s' WHERE id = 'b'`)
	must(t, s.Switch(t.Context(), "a", m.Epoch+1))
	if s.beat(like.Beat{Process: "a"}).Direct {
		t.Fatal("switched although the mode was another one")
	}
	must(t, s.Switch(t.Context(), "a", m.Epoch))
	if m = s.beat(like.Beat{Process: "a"}); !m.Direct || m.Since.IsZero() || m.Epoch != 1 {
		t.Fatalf("did not switch: %+v", m)
	}
}

func TestTheSecondStepOfASwitchIsMadeByWhoeverFindsItMissing(t *testing.T) {
	s := newStore(t)
	s.goDirect(0)
	s.exec(`UPDATE modes SET since = NULL`) // the process died between the steps
	if m := s.beat(like.Beat{Process: "b"}); !m.Since.IsZero() {
		t.Fatal("not the state that was to be tested")
	}
	if _, err := s.direct().Write(t.Context(), []like.Op{op("i", "u", like.Liked)}, 0); !errors.Is(err, like.ErrUnavailable) {
		t.Errorf("a write before the second step: %v", err)
	}
	must(t, s.Switch(t.Context(), "b", 1))
	if m := s.beat(like.Beat{Process: "b"}); m.Since.IsZero() || m.Epoch != 1 {
		t.Errorf("after the second step: %+v", m)
	}
}

func TestASwitchSoonAfterAReturnDoublesThePatience(t *testing.T) {
	s := newStore(t)
	for _, want := range []string{"2s", "4s", "8s", "16s", "32s", "1m0s", "1m0s"} {
		s.goDirect(0)
		if got := s.beat(like.Beat{Process: "p"}).Patience; got.String() != want {
			t.Errorf("patience is %v, want %s", got, want)
		}
		s.comeBack()
	}
	s.exec(`UPDATE modes SET since = since - interval '2 minutes'`)
	s.goDirect(0)
	if got := s.beat(like.Beat{Process: "p"}).Patience; got != 2*time.Second {
		t.Errorf("after a quiet time patience is %v", got)
	}
}

// comeBack returns to Redis as if its logs ended at the floors.
func (s store) comeBack() {
	s.tb.Helper()
	r, err := s.BeginReturn(s.tb.Context())
	must(s.tb, err)
	defer r.Rollback(s.tb.Context())
	all, err := r.Shut(s.tb.Context())
	must(s.tb, err)
	ends := map[int]like.Version{}
	for shard, known := range all {
		ends[shard] = known.Floor.Next()
	}
	must(s.tb, r.Commit(s.tb.Context(), ends))
}

func TestDirectWritesAreRefusedUnlessTheModeSaysSo(t *testing.T) {
	s := newStore(t)
	ops := []like.Op{op("i", "u", like.Liked)}
	try := func() error {
		_, err := s.direct().Write(t.Context(), ops, 0)
		return err
	}
	if err := try(); !errors.Is(err, like.ErrElsewhere) {
		t.Errorf("while writes go to Redis: %v", err)
	}
	s.goDirect(like.DirectAfter - time.Second)
	if err := try(); !errors.Is(err, like.ErrUnavailable) || errors.Is(err, like.ErrElsewhere) {
		t.Errorf("too early after the switch: %v", err)
	}
	s.exec(`UPDATE modes SET since = since - interval '1 s'`)
	must(t, try())
	s.comeBack()
	if err := try(); !errors.Is(err, like.ErrElsewhere) {
		t.Errorf("after the return: %v", err)
	}
	wrong := ledger.NewDirect(s.Ledger, ledger.DirectOptions{Shards: 8, Bucket: bucket})
	s.goDirect(time.Minute)
	if _, err := wrong.Write(t.Context(), ops, 0); !errors.Is(err, like.ErrUnavailable) {
		t.Errorf("with another number of shards: %v", err)
	}
	if n := s.number(`SELECT count(*) FROM likes`); n != 1 {
		t.Errorf("%d rows", n)
	}
}

func TestDirectOpsAreAnsweredInTheirOrder(t *testing.T) {
	s := newStore(t)
	s.apply(row("a", "old", true, 5))
	s.goDirect(time.Minute)
	got := s.write(
		op("a", "ann", like.Liked), op("a", "ann", like.Liked), op("b", "ann", like.Toggle), op("a", "bob", like.Toggle),
		op("a", "ann", like.Toggle), op("b", "ann", like.NotLiked), op("a", "zed", like.Liked), op("c", "ann", like.NotLiked),
	)
	for i, want := range []string{
		"true true 2", "true false 2", "true true 1", "true true 3",
		"false true 2", "false true 0", "true true 3", "false false 0",
	} {
		r := got[i]
		if s := fmt.Sprint(r.Liked, r.Changed, r.Count); s != want || r.Err != nil || r.Source != like.FromLedger {
			t.Errorf("op %d: %+v, want %s", i, r, want)
		}
		if r.Changed == r.Receipt.IsZero() || r.Changed && !r.Receipt.Version.Direct() {
			t.Errorf("op %d: receipt %v", i, r.Receipt)
		}
	}
	is, err := s.ReceiptState(t.Context(), got[0].Receipt, "ann")
	if must(t, err); is.State != like.Persisted {
		t.Errorf("a direct write is %s", is.State)
	}
	if n := s.number(`SELECT count(*) FROM direct_items`); n != 3 {
		t.Errorf("%d direct items", n)
	}
	if n := s.number(`SELECT count(*) FROM item_counts WHERE closes_at IS NOT NULL`); n != 1 { // b came back to where it was
		t.Errorf("%d notifications", n)
	}
	s.sound()
}

func TestWhatWaitsInTheLogLosesAgainstDirectWritesEvenThoseThatChangedNothing(t *testing.T) {
	s := newStore(t)
	redis := time.Now().Add(30 * time.Second) // its clock is ahead
	s.beat(like.Beat{Process: "api", Ahead: 30 * time.Second, AheadKnown: true})
	last := like.DirectAt(redis) - 7
	s.apply(row("i", "liked-before", true, 1))
	s.goDirect(time.Minute)
	for i, r := range s.write(op("i", "never", like.NotLiked), op("i", "liked-before", like.Liked)) {
		if r.Changed {
			t.Errorf("op %d changed something", i)
		}
	}
	mark := s.number(`SELECT max(version) FROM watermarks`)
	s.apply(row("i", "never", true, last), row("i", "liked-before", false, last), row("i", "other", true, last))
	if n := s.number(`SELECT count(*) FROM likes WHERE liked AND user_id IN ('liked-before', 'other')`); n != 2 {
		t.Errorf("%d of 2 pairs are liked", n)
	}
	if n := s.number(`SELECT count(*) FROM likes WHERE liked`); n != 2 {
		t.Errorf("%d pairs are liked", n)
	}
	if now := s.number(`SELECT max(version) FROM watermarks`); now != mark || mark != 0 {
		t.Errorf("the watermark moved from %d to %d", mark, now)
	}
	s.sound()
}

func TestADirectVersionIsAboveAllThatWasSeen(t *testing.T) {
	s := newStore(t)
	future := like.DirectAt(time.Now().Add(time.Hour))
	s.exec(`UPDATE watermarks SET floor = $1 WHERE shard = $2`, future, bucket("floored")%4)
	s.apply(row("stored", "u", true, future))
	s.goDirect(time.Minute)
	for _, c := range []struct {
		item string
		seen like.Version
	}{{"floored", 0}, {"stored", 0}, {"seen", future}} {
		got, err := s.direct().Write(t.Context(), []like.Op{op(c.item, "u", like.Toggle)}, c.seen)
		if must(t, err); got[0].Receipt.Version <= future {
			t.Errorf("%s: version %v is not above %v", c.item, got[0].Receipt.Version, future)
		}
	}
	s.beat(like.Beat{Process: "other", Seen: future + 1<<30})
	if v := s.write(op("told", "u", like.Toggle))[0].Receipt.Version; v <= future+1<<30 {
		t.Errorf("version %v is not above what another process has seen", v)
	}
	s.sound()
}

func TestARefusedRowFailsItsOwnOpsOnly(t *testing.T) {
	s := newStore(t)
	s.goDirect(time.Minute)
	s.exec(`ALTER TABLE likes ADD CONSTRAINT no_bad CHECK (user_id NOT LIKE 'bad%')`)
	var ops []like.Op
	for i := range 40 {
		ops = append(ops, op("i", fmt.Sprint("good", i), like.Liked))
		if i%10 == 3 {
			ops = append(ops, op("i", fmt.Sprint("bad", i), like.Liked), op("i", fmt.Sprint("bad", i), like.Toggle))
		}
	}
	count := int64(0)
	for i, r := range s.write(ops...) {
		bad := ops[i].User[0] == 'b'
		if bad != errors.Is(r.Err, like.ErrRefused) || !bad && r.Err != nil {
			t.Errorf("%s: %v", ops[i].User, r.Err)
		}
		if !bad {
			if count++; r.Count != count {
				t.Errorf("%s: count %d, want %d", ops[i].User, r.Count, count)
			}
		}
	}
	if n := s.number(`SELECT count FROM item_counts`); n != 40 {
		t.Errorf("the ledger counts %d", n)
	}
	s.sound()
}

// Two processes write directly while a drain brings what waited in the log.
func TestDirectWritersAndDrainsTogetherKeepEveryCountExact(t *testing.T) {
	s := newStore(t)
	s.goDirect(time.Minute)
	ctx, cancel := context.WithCancel(t.Context())
	var drains, writers sync.WaitGroup
	var drained int
	drains.Go(func() {
		for v := like.Version(1); ctx.Err() == nil; v++ {
			b, err := s.Begin(t.Context(), int(v)%4)
			if err != nil {
				t.Error(err)
				return
			}
			_, err = b.Apply(t.Context(), []ledger.Row{row("a", fmt.Sprint("u", v%7), true, v), row("b", fmt.Sprint("u", v%5), true, v)})
			if err = errors.Join(err, b.Advance(t.Context(), v), b.Commit(t.Context())); err != nil {
				t.Error(err)
			}
			drained++
		}
	})
	var toggles [2]int // of one pair, answered "liked"
	for n := range 2 {
		writers.Go(func() {
			for range 60 {
				ops := []like.Op{op("hot", "me", like.Toggle)}
				for range 30 {
					ops = append(ops, op(string(rune('a'+rand.N(6))), fmt.Sprint("u", rand.N(9)), like.Want(rand.N(3))))
				}
				results, err := s.direct().Write(t.Context(), ops, 0)
				if err != nil {
					t.Error(err)
					return
				}
				if results[0].Liked {
					toggles[n]++
				}
			}
		})
	}
	writers.Wait()
	cancel()
	drains.Wait()
	if toggles[0]+toggles[1] != 60 {
		t.Errorf("120 toggles of one pair were answered \"liked\" %d times", toggles[0]+toggles[1])
	}
	if drained < 20 {
		t.Errorf("drains came through %d times only", drained)
	}
	s.sound()
}

func TestTheReturnWaitsForWritersAndKeepsNewOnesOut(t *testing.T) {
	s := newStore(t)
	s.goDirect(time.Minute)
	for i := range 10 {
		s.write(op(fmt.Sprint("item", i), "u", like.Liked))
	}
	r, err := s.BeginReturn(t.Context())
	must(t, err)
	defer r.Rollback(t.Context())
	if _, err := s.BeginReturn(t.Context()); !errors.Is(err, ledger.ErrLocked) {
		t.Errorf("a second return: %v", err)
	}
	found := 0
	for shard := range 4 {
		var last ledger.DirectItem
		for {
			page, err := r.Items(t.Context(), shard, last, 2)
			must(t, err)
			if len(page) == 0 {
				break
			}
			found += len(page)
			last = page[len(page)-1]
		}
	}
	if found != 10 {
		t.Errorf("found %d of 10 items", found)
	}
	all, err := r.Shut(t.Context())
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := s.direct().Write(ctx, []like.Op{op("late", "u", like.Liked)}, 0); !errors.Is(err, like.ErrUnavailable) {
		t.Errorf("a write behind the shut gate: %v", err)
	}
	late := make(chan error, 1)
	go func() {
		_, err := s.direct().Write(t.Context(), []like.Op{op("later", "u", like.Liked)}, 0)
		late <- err
	}()
	for s.number(`SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`) == 0 {
		time.Sleep(time.Millisecond)
	}
	ends := map[int]like.Version{}
	for shard, known := range all {
		if known.Watermark != 0 || known.Floor == 0 {
			t.Errorf("shard %d: %+v", shard, known)
		}
		ends[shard] = known.Floor.Next()
	}
	must(t, r.Commit(t.Context(), ends))
	if err := <-late; !errors.Is(err, like.ErrElsewhere) {
		t.Errorf("a write that waited for the gate: %v", err)
	}
	if s.beat(like.Beat{Process: "p"}).Direct || s.number(`SELECT count(*) FROM direct_items`) != 0 {
		t.Error("the return is not complete")
	}
	if n := s.number(`SELECT count(*) FROM watermarks WHERE version = floor AND version > 0`); n != 4 {
		t.Errorf("%d of 4 watermarks are at the end of the log", n)
	}
	if _, err := s.BeginReturn(t.Context()); !errors.Is(err, like.ErrElsewhere) {
		t.Errorf("a return from Redis: %v", err)
	}
}

func TestTheNumberOfShardsStaysWhileWritesGoToTheLedger(t *testing.T) {
	s := newStore(t)
	s.goDirect(time.Minute)
	if err := s.ChangeShards(t.Context(), 4, 8); !errors.Is(err, like.ErrElsewhere) {
		t.Errorf("a change meanwhile: %v", err)
	}
	s.comeBack()
	must(t, s.ChangeShards(t.Context(), 4, 8))
}
