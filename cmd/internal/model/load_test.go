package model_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"plusone/cmd/internal/model"
	"plusone/hotpath/counter"
	"plusone/hotpath/like"
)

const (
	liveItems = 64
	liveUsers = 300
)

// load is likes, unlikes and toggles on live items as fast as they are answered,
// with drains, evictions and forgetting beside them.
type load struct {
	*rig
	house   *house
	shards  int
	applied atomic.Int64
	gone    atomic.Int64 // items evicted
	failed  atomic.Pointer[error]
}

func (l *load) start(ctx context.Context) (wait func()) {
	var work sync.WaitGroup
	for n := range 3 {
		work.Go(func() { l.client(ctx, rand.New(rand.NewPCG(uint64(n), 7))) })
	}
	work.Go(func() {
		for shard := 0; ctx.Err() == nil; shard = (shard + 1) % l.shards {
			_ = l.house.drainer.Drain(ctx, shard)
			await(ctx, time.Millisecond)
		}
	})
	work.Go(func() {
		for ctx.Err() == nil {
			item := liveItem(rand.IntN(liveItems))
			shard := counter.ShardOf(item, l.shards)
			n, _ := l.house.log.Evict(ctx, shard, []string{item})
			l.gone.Add(int64(n))
			_, _ = l.house.log.Shrink(ctx, shard, item, 20, 10)
			await(ctx, 2*time.Millisecond)
		}
	})
	return work.Wait
}

func liveItem(n int) string { return fmt.Sprintf("%s%d", live, n) }

// client sends calls of up to 30 ops.
func (l *load) client(ctx context.Context, pick *rand.Rand) {
	for ctx.Err() == nil {
		ops := make([]like.Op, 1+pick.IntN(30))
		for i := range ops {
			ops[i] = like.Op{
				Item: liveItem(pick.IntN(liveItems)), User: fmt.Sprint("u", pick.IntN(liveUsers)),
				Want: like.Want(pick.IntN(3)),
			}
		}
		for _, res := range l.house.apply(ops) {
			if res.Err != nil {
				l.failed.Store(&res.Err)
				return
			}
			l.applied.Add(1)
		}
	}
}

// loadTimes are how long the two halves of the test take.
func loadTimes() (calmFor, hurtFor time.Duration) {
	if os.Getenv("PLUSONE_TEST_LONG") != "" {
		return 10 * time.Minute, 5 * time.Minute
	}
	return 5 * time.Second, 4 * time.Second
}

// Under full load the reconciler finds nothing where nothing is damaged; and of
// what is, everything and nothing else.
func TestUnderLoadTheReconcilerFindsDamageAndNothingElse(t *testing.T) {
	t.Parallel()
	const shards = 4
	r := newRig(t, 50)
	must(t, r.reset(shards))
	l := &load{rig: r, house: r.houses[shards], shards: shards}
	ctx, stop := context.WithCancel(background)
	wait := l.start(ctx)
	t.Cleanup(func() { stop(); wait() })

	calm, hurt := loadTimes()
	l.calm(t, calm)
	l.hurt(t, hurt)
	stop()
	wait()
	if err := l.failed.Load(); err != nil {
		t.Errorf("an op failed: %v", *err)
	}
	for shard := range shards {
		// A drain that was cut off may hold the shard for a moment.
		if !eventually(func() bool {
			must(t, l.house.drainer.Drain(background, shard))
			tail, err := l.house.log.Tail(background, shard)
			must(t, err)
			known, err := l.ledger.Bounds(background, shard)
			must(t, err)
			return known.Watermark >= tail.Last
		}) {
			t.Fatalf("shard %d is not drained", shard)
		}
	}
	if found := l.pass(t); len(found) > 0 {
		t.Errorf("after the load: %v", found)
	}
}

// pass reconciles once and returns what was found.
func (l *load) pass(t *testing.T) (found []string) {
	t.Helper()
	rep, err := l.house.reconciler.Once(background, false)
	must(t, err)
	for _, d := range rep.Drifts {
		found = append(found, fmt.Sprintf("%+v", d))
	}
	return found
}

// calm reconciles for a while, with nothing to be found.
func (l *load) calm(t *testing.T, d time.Duration) {
	t.Helper()
	begun, passes := time.Now(), 0
	for ; time.Since(begun) < d && !t.Failed(); passes++ {
		if found := l.pass(t); len(found) > 0 {
			t.Fatalf("I8: without damage %d findings: %v", len(found), found)
		}
	}
	t.Logf("%d passes found nothing in %s, beside %d ops and %d evictions", passes, d, l.applied.Load(), l.gone.Load())
	if l.applied.Load() == 0 || l.gone.Load() == 0 {
		t.Error("there was no load")
	}
}

// hurt damages quiet items in rounds. rapid only chooses; once the time is up
// further rounds do nothing.
func (l *load) hurt(t *testing.T, d time.Duration) {
	t.Helper()
	end, rounds, findings := time.Now().Add(d), 0, 0
	rapid.Check(t, func(t *rapid.T) {
		if time.Now().After(end) {
			return
		}
		rounds++
		findings += l.round(t)
	})
	t.Logf("%d rounds of damage, %d findings, all due", rounds, findings)
}

// round makes quiet items resident, damages some, and has them repaired.
func (l *load) round(t *rapid.T) int {
	m := &machine{T: t, r: l.rig, w: model.New(l.shards), touched: model.Set{}, late: model.Set{}}
	for _, res := range l.house.apply(m.genOps()) {
		m.fatal(res.Err)
	}
	if rapid.Bool().Draw(t, "cold") {
		for _, item := range items {
			_, err := l.house.log.Evict(background, m.w.Shard(item), []string{item})
			m.fatal(err)
		}
	}
	_, err := l.house.counter.Read(background, items, users[0])
	m.fatal(err)
	l.settled(m)
	return l.damage(m)
}

// settled waits until the quiet items are drained and stay as they are, and takes
// them for the truth.
func (l *load) settled(m *machine) {
	if !eventually(func() bool {
		a, err := l.look(l.shards)
		m.fatal(err)
		for shard := range l.shards {
			m.fatal(drained(l, shard))
		}
		m.seen, err = l.look(l.shards)
		m.fatal(err)
		return fmt.Sprint(a.Items, a.Rows) == fmt.Sprint(m.seen.Items, m.seen.Rows)
	}) {
		m.Fatal("the quiet items do not come to rest")
	}
	m.w.Rows = m.seen.Rows
	for item := range m.seen.Items {
		m.w.Likers[item] = m.w.Stored(item)
	}
}

// drained waits until the ledger has what the log holds now.
func drained(l *load, shard int) error {
	tail, err := l.house.log.Tail(background, shard)
	if err != nil {
		return err
	}
	for {
		known, err := l.ledger.Bounds(background, shard)
		if err != nil || known.Watermark >= tail.Last {
			return err
		}
		await(background, time.Millisecond)
	}
}

// damage spoils some resident items; a pass finds that and nothing else, both
// stores hold afterwards what they should, and a second pass finds nothing.
func (l *load) damage(m *machine) int {
	var want []string
	for _, item := range items {
		if _, resident := m.w.Likers[item]; resident && rapid.IntRange(0, 2).Draw(m.T, "damaged "+item) > 0 {
			want = append(want, m.spoil(item)...)
		}
	}
	m.expect(want...)
	var why error
	if !eventually(func() bool { why = l.right(m); return why == nil }) {
		m.Fatalf("after the repair: %v", why)
	}
	m.expect()
	return len(want)
}

// right compares the quiet items with what they should be.
func (l *load) right(m *machine) error {
	seen, err := l.look(l.shards)
	if err != nil {
		return err
	}
	stored := &model.World{Rows: seen.Rows}
	for item, want := range m.w.Likers {
		got := stored.Stored(item)
		if fmt.Sprint(got) != fmt.Sprint(want) || seen.Counts[item] != int64(len(want)) {
			return fmt.Errorf("the ledger has %v of %s and counts %d, want %v", got, item, seen.Counts[item], want)
		}
		if err := m.w.MatchUsers(item, seen.Items[item], want); err != nil {
			return fmt.Errorf("%s: %w", item, err)
		}
	}
	return nil
}
