package counter

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"plusone/hotpath/like"
	"plusone/scripts/dev/private/privatetest"
)

// calm is a ledger in which everybody writes to Redis.
type calm struct{}

func (calm) Beat(context.Context, like.Beat) (like.Mode, error) {
	return like.Mode{Now: time.Now()}, nil
}
func (calm) Switch(context.Context, string, int64) error { return nil }

// An op whose answer was lost may be applied for as long as its client has to wait
// at most, and never afterwards: ops that were answered since would be undone.
func TestAnOpThatRedisGetsTooLateIsNotApplied(t *testing.T) {
	server := privatetest.Redis(t)
	addr := address(t, server.URL())
	fence := NewFence(redis.UniversalOptions{Addrs: []string{addr}}, calm{}, FenceOptions{})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- fence.Run(ctx) }()
	t.Cleanup(func() { stop(); ok(t, <-ended) })
	r := newRig(t, addr, Options{Fence: fence, Timeout: 200 * time.Millisecond})
	eventually(t, "a like goes through", func() bool { return r.try("post", "ann", like.Liked).Err == nil })
	eventually(t, "redis' clock is known", func() bool { return fence.Steady() > 0 })

	ok(t, syscall.Kill(server.Pid(), syscall.SIGSTOP))
	resume := time.AfterFunc(10*time.Second, func() { _ = syscall.Kill(server.Pid(), syscall.SIGCONT) })
	defer resume.Stop()
	sent := time.Now()
	if err := r.try("post", "ann", like.NotLiked).Err; !errors.Is(err, like.ErrUnknown) {
		t.Errorf("an unlike without an answer: %v", err)
	}
	// Half a second for a machine that did not begin to send at once.
	eventually(t, "its time is over", func() bool { return time.Since(sent) > 200*time.Millisecond+lateTime+500*time.Millisecond })
	ok(t, syscall.Kill(server.Pid(), syscall.SIGCONT))
	eventually(t, "redis is back for the counter", func() bool { return r.try("other", "bob", like.Liked).Err == nil })
	equal(t, "still liked", r.read("post", "ann").Liked, true)
	r.checkItem("post", 1)
}

func TestTheLikeScriptKnowsWhenItIsTooLate(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		rdb := redis.NewClient(&redis.Options{Addr: addr})
		t.Cleanup(func() { _ = rdb.Close() })
		k := keysOf(0)
		commands(t, rdb, "HSET "+k.meta+" shards 4", "HSET "+k.counts+" a 0")
		for before, want := range map[int64]string{
			time.Now().Add(-time.Second).UnixMilli(): "late", time.Now().Add(time.Minute).UnixMilli(): "+",
		} {
			out := newOutbox([]keys{k})
			out.add(&slot{op: like.Op{Item: "a", User: "ann", Want: like.Liked}})
			reply, err := send(t.Context(), rdb, out.batches[0], Options{Shards: 4, MaxPending: 3}, before)
			ok(t, err)
			if got := reply[min(1, len(reply)-1)]; got != want {
				t.Errorf("before %d: %v, want %s", before, reply, want)
			}
			commands(t, rdb, "DEL "+k.likers+"a", "HSET "+k.counts+" a 0")
		}
	})
}
