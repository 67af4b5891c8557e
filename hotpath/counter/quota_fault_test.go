package counter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"plusone/hotpath/like"
)

// fault meets the next exchange of a kind.
type fault struct {
	kind    string // like: one that reserves and likes; end: one that only ends reservations
	reached string // of what it sends: "", "reserve" or "all"; its answer is lost
	between func() // runs between the reservation and the like, and nothing is lost
	left    atomic.Int32
}

var errLost = errors.New("the connection is gone")

func (f *fault) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (f *fault) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (f *fault) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		likes := slices.IndexFunc(cmds, func(c redis.Cmder) bool { return isCall(c, likeScript) })
		asks := slices.ContainsFunc(cmds, func(c redis.Cmder) bool { return isCall(c, quotaScript) })
		if !asks || (likes > 0) != (f.kind == "like") || f.left.Add(-1) < 0 {
			return next(ctx, cmds)
		}
		if f.between != nil {
			err := next(ctx, cmds[:likes])
			f.between()
			return errors.Join(err, next(ctx, cmds[likes:]))
		}
		switch f.reached {
		case "reserve":
			_ = next(ctx, cmds[:likes])
		case "all":
			_ = next(ctx, cmds)
		}
		for _, cmd := range cmds {
			cmd.SetErr(errLost)
		}
		return errLost
	}
}

// isCall reports whether a command is the call of a script.
func isCall(cmd redis.Cmder, s script) bool {
	args := cmd.Args()
	sha, is := args[1].(*string)
	return is && *sha == s.sha
}

// meet lets a fault meet one exchange of a rig.
func (r *rig) meet(f *fault) *fault {
	f.left.Store(1)
	r.guarded.AddHook(f)
	return f
}

// What is lost on the way costs nobody a unit for long, and gives nobody one more than
// the likes whose answer was lost.
func TestAReservationOutlivesALostAnswerByItsTimeOnly(t *testing.T) {
	for _, row := range []struct {
		kind, reached string
		err           error // of the like
		liked         bool
		before        string // used, until reservations expire
		after         string
	}{
		{"like", "", like.ErrUnknown, false, "", ""},
		{"like", "reserve", like.ErrUnknown, false, "ann:1", ""},
		{"like", "all", like.ErrUnknown, true, "ann:1", ""}, // it may not count
		{"end", "", nil, true, "ann:1", "ann:1"},
		{"end", "all", nil, true, "ann:1", "ann:1"},
	} {
		t.Run(row.kind+", reached "+row.reached, func(t *testing.T) {
			m := miniredis.RunT(t)
			r := newRig(t, m.Addr(), withQuota(2))
			r.do("page", "bob", like.Liked)
			equal(t, "used", r.used(), "bob:1")
			f := r.meet(&fault{kind: row.kind, reached: row.reached})

			err := r.try("page", "ann", like.Liked).Err
			equal(t, fmt.Sprint("the error ", err), errors.Is(err, row.err), true)
			eventually(t, "it was lost", func() bool { return f.left.Load() <= 0 })
			equal(t, "liked", r.read("page", "ann").Liked, row.liked)
			equal(t, "used", usedBy(t, r.rdb, keysOf(0)), strings.TrimSpace(row.before+" bob:1"))
			if row.kind == "end" {
				equal(t, "its end is told again", r.used(), "ann:1 bob:1")
			} else if row.before != "" {
				equal(t, "what is not known is left", reservedIn(t, r.rdb, keysOf(0)), "ann")
			}
			later := time.Now()
			eventually(t, "reservations have expired", func() bool {
				later = later.Add(holdTime + time.Second)
				m.SetTime(later)
				r.do("page", "bob", like.Liked)
				return !strings.Contains(reservedIn(t, r.rdb, keysOf(0)), "ann")
			})
			equal(t, "used then", r.used(), strings.TrimSpace(row.after+" bob:1"))
			equal(t, "repeated", r.do("page", "ann", like.Liked).Changed, !row.liked)
		})
	}
}

// A like is made in the window of its unit, or takes another one.
func TestALikeIsNotMadeOnAUnitOfAnotherWindow(t *testing.T) {
	for name, later := range map[string]time.Duration{"the next window": quotaWindow, "the same window": useTime + time.Second} {
		t.Run(name, func(t *testing.T) {
			m := miniredis.RunT(t)
			now := time.UnixMilli(windowStart(time.Now())).Add(time.Minute)
			m.SetTime(now)
			r := newRig(t, m.Addr(), withQuota(2))
			r.do("page", "ann", like.Liked)
			equal(t, "used", r.used(), "ann:1")
			f := r.meet(&fault{kind: "like", between: func() { m.SetTime(now.Add(later)) }})
			equal(t, "liked", r.do("other", "ann", like.Liked).Changed, true)
			equal(t, "time has passed", f.left.Load() < 1, true)
			want := "ann:2"
			if later == quotaWindow {
				want = "ann:1"
			}
			equal(t, "used", r.used(), want)
		})
	}
}

// A server may lose its scripts between the two calls, or one of them.
func TestScriptsThatAServerDoesNotKnowCostNobodyAUnit(t *testing.T) {
	for name, known := range map[string]string{"none": "", "that of the quota": quotaScript.text, "that of likes": likeScript.text} {
		t.Run(name, func(t *testing.T) {
			r := realRig(t, withQuota(2))
			for i := range 2 {
				r.do(fmt.Sprint("i", i), "bob", like.Liked)
			}
			r.do("page", "ann", like.Liked)
			equal(t, "used", r.used(), "ann:1 bob:2")
			for i, err := range []error{nil, like.ErrQuota} {
				commands(t, r.rdb, "SCRIPT FLUSH")
				if known != "" {
					ok(t, r.rdb.ScriptLoad(t.Context(), known).Err())
				}
				item := fmt.Sprint("i", i)
				equal(t, "the error", r.try(item, "ann", like.Liked).Err, err)
				equal(t, "liked", r.read(item, "ann").Liked, err == nil)
				equal(t, "used", r.used(), "ann:2 bob:2")
			}
		})
	}
}

// What is wrong with the quotas of one shard costs nobody else anything.
func TestALikeWhoseUnitCanNotBeReservedIsNotMade(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		opt := withQuota(2)
		opt.Shards = 2
		r := newRig(t, addr, opt)
		users := map[int]string{}
		for i := 0; len(users) < 2; i++ {
			user := fmt.Sprint("u", i)
			users[ShardOf(user, 2)] = user
		}
		for _, broken := range []string{keysOf(0).quota, keysOf(0).reserved} {
			r.do("a", "bob", like.Liked)
			eventually(t, "nothing is reserved", func() bool { return reservedIn(t, r.rdb, keysOf(0))+reservedIn(t, r.rdb, keysOf(1)) == "" })
			commands(t, r.rdb, "DEL "+broken, "SET "+broken+" x")
			ops := []like.Op{{Item: "a", User: users[0], Want: like.Liked}, {Item: "a", User: users[1], Want: like.Liked}, {Item: "a", User: "bob", Want: like.NotLiked}}
			res := make([]like.Result, len(ops))
			ok(t, r.Apply(t.Context(), ops, res))
			equal(t, fmt.Sprint("the error ", res[0].Err), errors.Is(res[0].Err, like.ErrUnavailable), true)
			equal(t, "liked", r.read("a", users[0]).Liked, false)
			equal(t, fmt.Sprintf("who is of another shard: %+v", res[1]), res[1].Changed && res[1].Liked, true)
			equal(t, fmt.Sprintf("who needs no unit: %+v", res[2]), res[2].Changed && !res[2].Liked, true)
			commands(t, r.rdb, "DEL "+broken)
			equal(t, "then", r.do("a", users[0], like.Liked).Changed, true)
			for _, user := range users {
				r.do("a", user, like.NotLiked)
			}
			commands(t, r.rdb, "DEL "+keysOf(0).quota+" "+keysOf(1).quota)
		}
	})
}

// A server that takes no writes is taken for one that is not there.
func TestAServerThatRefusesReservationsIsNotThere(t *testing.T) {
	r := realRig(t, withQuota(2))
	r.do("a", "bob", like.Liked)
	equal(t, "used", r.used(), "bob:1")
	commands(t, r.rdb, "REPLICAOF 127.0.0.1 1")
	out := newOutbox(r.keys)
	var s slot
	s.op = like.Op{Item: "a", User: "ann", Want: like.Liked}
	out.add(&s)
	q := newQuota(r.Counter)
	err := r.send(t.Context(), out.batches, q.gather(out.batches), 0)
	equal(t, fmt.Sprint("the error ", err), notThere(err) != nil, true)
	commands(t, r.rdb, "REPLICAOF NO ONE")
}

func TestNobodyWhoHasGoneTakesAUnit(t *testing.T) {
	r := newRig(t, miniredis.RunT(t).Addr(), withQuota(2))
	r.do("page", "bob", like.Liked)
	equal(t, "used", r.used(), "bob:1")
	under, left := make(chan struct{}), make(chan struct{})
	r.meet(&fault{kind: "like", between: func() {
		close(under)
		<-left
	}})
	var wg sync.WaitGroup
	wg.Go(func() { r.do("other", "bob", like.Liked) })
	<-under
	ctx, leave := context.WithCancel(t.Context())
	wg.Go(func() {
		eventually(t, "ann waits", func() bool { return r.writes.len() == 1 })
		leave()
	})
	err := r.Apply(ctx, []like.Op{{Item: "page", User: "ann", Want: like.Liked}}, make([]like.Result, 1))
	close(left)
	wg.Wait()
	equal(t, "nothing was applied", errors.Is(err, like.ErrUnavailable), true)
	equal(t, "not liked", r.read("page", "ann").Liked, false)
	equal(t, "used", r.used(), "bob:2")
}
