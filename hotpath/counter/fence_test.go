package counter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"plusone/hotpath/like"
	"plusone/scripts/dev/private/privatetest"
)

// town is a ledger that says where everybody writes, and takes direct writes into
// memory.
type town struct {
	mu       sync.Mutex
	mode     like.Mode
	err      error         // every poll and write fails with it
	hold     chan struct{} // polls hang until it is closed
	writeErr error
	beats    []like.Beat
	ops      []like.Op
}

func (w *town) set(change func(*town)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(w)
}

func (w *town) Beat(ctx context.Context, b like.Beat) (like.Mode, error) {
	w.mu.Lock()
	hold := w.hold
	w.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return like.Mode{}, fmt.Errorf("%w: %w", like.ErrUnavailable, ctx.Err())
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.beats = append(w.beats, b)
	w.mode.Now = time.Now()
	return w.mode, w.err
}

func (w *town) Switch(_ context.Context, _ string, epoch int64) error {
	w.set(func(w *town) {
		if !w.mode.Direct && w.mode.Epoch == epoch {
			w.direct()
		}
	})
	return nil
}

// direct says that everybody has written directly for a while.
func (w *town) direct() {
	w.mode = like.Mode{Direct: true, Epoch: w.mode.Epoch + 1, Since: time.Now().Add(-time.Minute), Patience: time.Hour}
}

func (w *town) Write(_ context.Context, ops []like.Op, _ like.Version) ([]like.Result, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := errors.Join(w.err, w.writeErr); err != nil {
		return nil, err
	}
	res := make([]like.Result, len(ops))
	for i, op := range ops {
		w.ops = append(w.ops, op)
		res[i] = like.Result{Liked: op.Want == like.Liked, Changed: true, Count: int64(len(w.ops)), Source: like.FromLedger}
	}
	return res, nil
}

// fenced is a rig behind a fence; the counter reaches Redis by a link of its own,
// the fence by another.
type fenced struct {
	*rig
	town         *town
	fence        *Fence
	link, probes *privatetest.Proxy
}

func newFenced(t *testing.T, opt Options) *fenced {
	t.Helper()
	url := privatetest.Redis(t).URL()
	f := &fenced{town: &town{}, link: privatetest.NewProxy(t, url), probes: privatetest.NewProxy(t, url)}
	f.fence = NewFence(redis.UniversalOptions{Addrs: []string{f.probes.Addr()}}, f.town, FenceOptions{Role: "test"})
	opt.Fence, opt.Direct = f.fence, f.town
	f.rig = newRig(t, f.link.Addr(), opt)
	return f
}

func (f *fenced) run() *fenced {
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = f.fence.Run(ctx)
	}()
	f.t.Cleanup(func() { stop(); <-ended })
	return f
}

// goesDirect waits until the fence knows of the switch; then the ledger takes a
// like.
func (f *fenced) goesDirect(user string) {
	f.t.Helper()
	eventually(f.t, "the switch is known", func() bool { direct, _ := f.fence.Direct(); return direct })
	if res := f.do("page", user, like.Liked); res.Source != like.FromLedger {
		f.t.Errorf("after the switch: %+v", res)
	}
}

// refused expects that ops are refused at once: one that waits does so each time, and
// a machine that stands still now and then.
func (f *fenced) refused(what string) {
	f.t.Helper()
	best := time.Hour
	for range 5 {
		start := time.Now()
		if res := f.try("page", "u", like.Liked); !errors.Is(res.Err, like.ErrUnavailable) {
			f.t.Errorf("%s: an op is answered %+v", what, res)
		}
		best = min(best, time.Since(start))
	}
	if best > 50*time.Millisecond {
		f.t.Errorf("%s: an op is refused after %v", what, best)
	}
}

func TestOpsWaitForTheFirstPollAndThenGoWhereItSays(t *testing.T) {
	f := newFenced(t, Options{})
	hold := make(chan struct{})
	f.town.hold = hold
	f.run()
	got := make(chan like.Result, 1)
	go func() { got <- f.try("page", "ann", like.Liked) }()
	eventually(t, "the op waits", func() bool { return f.fence.at(time.Now()).way == later })
	close(hold)
	if res := <-got; res.Err != nil || res.Source != "" {
		t.Errorf("after the poll: %+v", res)
	}
	f.town.set((*town).direct)
	f.goesDirect("bob")
	f.checkItem("page", 1)
}

func TestNothingIsSentBeforeTheModeIsKnown(t *testing.T) {
	f := newFenced(t, Options{})
	f.town.err = fmt.Errorf("%w: postgres is away", like.ErrUnavailable)
	f.run()
	eventually(t, "it is known that nobody knows", func() bool { return f.fence.at(time.Now()).way == nowhere })
	f.refused("without a mode")
	f.town.set(func(w *town) { w.err = nil })
	eventually(t, "ops go to Redis", func() bool { return f.try("page", "ann", like.Liked).Err == nil })
}

func TestAProcessThatWasStoppedPollsBeforeItSends(t *testing.T) {
	f := newFenced(t, Options{}).run()
	f.do("page", "ann", like.Liked)
	// What a stop looks like from inside: no poll comes back until the lease is over.
	hold := make(chan struct{})
	f.town.set(func(w *town) { w.hold = hold; w.direct() })
	eventually(t, "the lease runs out", func() bool { return f.fence.at(time.Now()).way == later })
	got := make(chan like.Result, 1)
	go func() { got <- f.try("page", "bob", like.Liked) }()
	close(hold)
	if res := <-got; res.Err != nil || res.Source != like.FromLedger {
		t.Errorf("on an old lease: %+v", res)
	}
	f.checkItem("page", 1)
}

func TestAnAnswerThatComesTooLateIsNotBelieved(t *testing.T) {
	f := newFenced(t, Options{Timeout: 5 * time.Second}).run()
	f.do("page", "ann", like.Liked)
	hold := make(chan struct{})
	defer close(hold)
	f.town.set(func(w *town) { w.hold = hold })
	f.link.Delay(leaseTime + graceTime)
	if res := f.try("page", "bob", like.Liked); !errors.Is(res.Err, errLate) {
		t.Errorf("an answer after the lease: %+v", res)
	}
	f.link.Delay(0)
	f.checkItem("page", 1) // Redis has seen by its own clock that it came too late
}

func TestWithoutPostgresOpsGoOnToRedisButNeverAfterASwitch(t *testing.T) {
	f := newFenced(t, Options{}).run()
	f.do("page", "ann", like.Liked)
	away := fmt.Errorf("%w: postgres is away", like.ErrUnavailable)
	f.town.set(func(w *town) { w.err = away })
	for end := time.Now().Add(leaseTime + pollTime); time.Now().Before(end); {
		if res := f.do("page", "bob", like.Liked); res.Source != "" {
			t.Fatalf("%+v", res)
		}
	}
	f.town.set(func(w *town) { w.err = errors.New("the table modes is gone") })
	eventually(t, "ops are refused", func() bool { return f.fence.at(time.Now()).way == nowhere })
	f.refused("without a mode")
	f.town.set(func(w *town) { w.err = nil; w.direct() })
	f.goesDirect("eve")
	f.town.set(func(w *town) { w.err = away })
	eventually(t, "it is known that both are away", func() bool { return errors.Is(f.fence.at(time.Now()).err, errBoth) })
	f.refused("both stores away")
	f.checkItem("page", 2)
}

func TestAFenceThatLosesRedisSwitchesOnlyIfItMay(t *testing.T) {
	f := newFenced(t, Options{}).run()
	f.do("page", "ann", like.Liked)
	f.probes.Cut(true)
	eventually(t, "it says that it does not reach Redis", func() bool {
		f.town.mu.Lock()
		defer f.town.mu.Unlock()
		return f.fence.breaker.isOpen() && !f.town.beats[len(f.town.beats)-1].RedisOK
	})
	f.refused("without Redis")
	if direct, _ := f.fence.Direct(); direct {
		t.Error("switched by a process that must not")
	}
	f.fence.MayGoDirect()
	f.goesDirect("bob")
	if _, err := f.fence.Ready(); err != nil {
		t.Errorf("not ready while the ledger takes ops: %v", err)
	}
}

func TestADirectWriterWithAnOldOpinionGoesToRedisAfterAll(t *testing.T) {
	f := newFenced(t, Options{}).run()
	f.do("page", "ann", like.Liked)
	f.town.set((*town).direct)
	f.goesDirect("bob")
	f.town.set(func(w *town) {
		w.mode = like.Mode{Epoch: w.mode.Epoch + 1}
		w.writeErr = like.ErrElsewhere
	})
	if res := f.do("page", "eve", like.Liked); res.Source != "" {
		t.Errorf("after the return: %+v", res)
	}
	f.checkItem("page", 2)
}

func TestItemsAreMendedOnlyWhileRedisIsWhereOpsGo(t *testing.T) {
	f := newFenced(t, Options{}).run()
	f.do("page", "ann", like.Liked)
	logs := f.log.Behind(f.fence)
	shard := ShardOf("page", 4)
	pin, err := logs.Pin(t.Context(), shard, []string{"page"})
	ok(t, err)
	f.town.set((*town).direct)
	eventually(t, "it is known", func() bool { direct, _ := f.fence.Direct(); return direct })
	if _, err := logs.Pin(t.Context(), shard, []string{"page"}); !errors.Is(err, like.ErrElsewhere) {
		t.Errorf("pinned: %v", err)
	}
	if _, err := pin.Mend(t.Context(), AddUser, Pair{"page", "eve"}); !errors.Is(err, like.ErrElsewhere) {
		t.Errorf("mended: %v", err)
	}
	if opened, err := f.open(t.Context(), (shard+1)%4); opened || !errors.Is(err, like.ErrElsewhere) {
		t.Errorf("opened a shard: %v, %v", opened, err)
	}
}

func TestReadsWithoutRedisComeFromTheCacheThenTheLedgerThenTheOldCache(t *testing.T) {
	f := newFenced(t, Options{}).run()
	f.do("page", "ann", like.Liked)
	f.book.drain(t, f.log)
	f.town.set((*town).direct)
	eventually(t, "the ledger takes ops", func() bool { direct, _ := f.fence.Direct(); return direct })
	read := func(what, item, user string, count int64, source like.Source) like.Reading {
		t.Helper()
		got, err := f.Read(t.Context(), []string{item}, user)
		ok(t, err)
		if got[0].Count != count || got[0].Source != source {
			t.Errorf("%s: %+v", what, got[0])
		}
		return got[0]
	}
	if r := read("with a user", "page", "ann", 1, like.FromLedger); !r.Liked {
		t.Error("ann does not like it")
	}
	f.book.set("page", "bob", true) // somebody else wrote it
	read("told within a second", "page", "", 1, like.FromCache)
	eventually(t, "the cache is too old", func() bool { return f.read("page", "").Source == like.FromLedger })
	read("another item", "other", "", 0, like.FromLedger)

	f.book.fail(fmt.Errorf("%w: away", like.ErrUnavailable))
	f.town.set(func(w *town) { w.err = like.ErrUnavailable })
	eventually(t, "it is known that both are away", func() bool { return errors.Is(f.fence.at(time.Now()).err, errBoth) })
	if r := read("with both away", "page", "ann", 2, like.FromCache); !r.Unsure || time.Since(r.AsOf) < time.Millisecond {
		t.Errorf("%+v", r)
	}
	if _, err := f.Read(t.Context(), []string{"never seen"}, ""); !errors.Is(err, like.ErrUnavailable) {
		t.Errorf("what nobody knows: %v", err)
	}
}

func TestColdItemsAreToldFromTheCacheWithoutPostgres(t *testing.T) {
	r := realRig(t, Options{})
	r.do("page", "ann", like.Liked)
	r.book.drain(t, r.log)
	_, err := r.log.Evict(t.Context(), ShardOf("page", 4), []string{"page"})
	ok(t, err)
	r.book.fail(fmt.Errorf("%w: away", like.ErrUnavailable))
	if got := r.read("page", "ann"); got.Count != 1 || got.Source != like.FromCache || !got.Unsure {
		t.Errorf("%+v", got)
	}
	if _, err := r.Read(t.Context(), []string{"page", "other"}, ""); !errors.Is(err, like.ErrUnavailable) {
		t.Errorf("an item that is nowhere: %v", err)
	}
}

func TestTheCacheNeverGoesBack(t *testing.T) {
	c := newCache()
	now := time.Now()
	c.put("page", 5, now)
	c.put("page", 4, now.Add(-time.Second)) // a reading that was begun before
	if r, there := c.find("page"); !there || r.Count != 5 {
		t.Errorf("%+v", r)
	}
	for i := range 2 * cacheSlots { // bounded, whatever comes
		c.put(fmt.Sprint(i), int64(i), now)
	}
	if _, there := c.find("page"); there {
		t.Log("page is still there, which is fine")
	}
}

func TestWhatSaysThatRedisIsNotThere(t *testing.T) {
	for text, there := range map[string]bool{
		"LOADING Redis is loading the dataset in memory":                                   false,
		"READONLY You can't write against a read only replica.":                            false,
		"MISCONF Errors writing to the AOF file: No space left on device":                  false,
		"OOM command not allowed when used memory > 'maxmemory'.":                          true,
		"NOSCRIPT No matching script.":                                                     true,
		"WRONGTYPE Operation against a key holding the wrong kind of value":                true,
		"CLUSTERDOWN The cluster is down":                                                  false,
		"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.": false,
	} {
		if err := notThere(reply(text)); (err == nil) != there {
			t.Errorf("%s: %v", text, err)
		}
	}
	if notThere(io.EOF) == nil || notThere(nil) != nil || notThere(errNewServer) != nil {
		t.Error("what is no answer")
	}
}

// reply is an error that Redis answers.
type reply string

func (r reply) Error() string { return string(r) }
func (reply) RedisError()     {}
