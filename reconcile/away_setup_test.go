package reconcile

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"plusone/hotpath/counter"
	"plusone/hotpath/like"
	"plusone/scripts/dev/private/privatetest"
	"plusone/tasks/ledger"
)

// node is what an API process has, with a link of its own to each store.
type node struct {
	*counter.Counter
	fence     *counter.Fence
	redis, pg *privatetest.Proxy
	ledger    *ledger.Ledger
}

func (r *rig) node() *node {
	r.t.Helper()
	n := &node{redis: privatetest.NewProxy(r.t, "redis://"+r.rdb.Options().Addr), pg: privatetest.NewProxy(r.t, r.pg)}
	u, err := url.Parse(r.pg)
	ok(r.t, err)
	u.Host = n.pg.Addr()
	pool, err := pgxpool.New(r.t.Context(), u.String())
	ok(r.t, err)
	r.t.Cleanup(pool.Close)
	n.ledger = ledger.New(pool)
	conn := redis.UniversalOptions{Addrs: []string{n.redis.Addr()}}
	n.fence = counter.NewFence(conn, n.ledger, counter.FenceOptions{Role: "api"})
	n.fence.MayGoDirect()
	n.Counter, err = counter.New(conn, n.ledger, counter.Options{
		Shards: shards, Fence: n.fence,
		Direct: ledger.NewDirect(n.ledger, ledger.DirectOptions{Shards: shards, Bucket: counter.Bucket}),
	})
	ok(r.t, err)
	rdb := redis.NewClient(&redis.Options{Addr: n.redis.Addr(), MaxRetries: -1, DialerRetries: 1, ReadTimeout: time.Second})
	returner := NewReturner(counter.NewLog(rdb, shards), n.ledger, n.fence, func(int) {})
	ctx, stop := context.WithCancel(context.Background())
	var parts sync.WaitGroup
	parts.Go(func() { _ = n.fence.Run(ctx) })
	parts.Go(func() { _ = returner.Run(ctx) })
	r.t.Cleanup(func() {
		ending, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = n.Close(ending)
		stop()
		parts.Wait()
		_ = rdb.Close()
	})
	return n
}

// try applies one op within two seconds, and tells how long it took.
func (n *node) try(item, user string, want like.Want) (like.Result, time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	res := make([]like.Result, 1)
	start := time.Now()
	if err := n.Apply(ctx, []like.Op{{Item: item, User: user, Want: want}}, res); err != nil {
		res[0].Err = err
	}
	return res[0], time.Since(start)
}

// load is clients that like and unlike by their own pairs and know what was
// acknowledged. An op without an answer is repeated until it has one.
type load struct {
	t     testing.TB
	nodes []*node
	stop  context.CancelFunc
	all   sync.WaitGroup

	acked, direct, unknown, refused atomic.Int64
	lastAck                         atomic.Int64 // unix ns
	longest                         atomic.Int64 // ns without an acknowledgement

	mu   sync.Mutex
	held map[counter.Pair]bool // what was acknowledged last
}

const loadItems = 40

func (r *rig) load(clients int, nodes ...*node) *load {
	return r.goOn(map[counter.Pair]bool{}, clients, nodes...)
}

// goOn is load after an earlier one.
func (r *rig) goOn(held map[counter.Pair]bool, clients int, nodes ...*node) *load {
	ctx, stop := context.WithCancel(context.Background())
	l := &load{t: r.t, nodes: nodes, stop: stop, held: held}
	l.lastAck.Store(time.Now().UnixNano())
	for c := range clients {
		l.all.Go(func() { l.client(ctx, c) })
	}
	r.t.Cleanup(l.end)
	return l
}

func (l *load) end() { l.stop(); l.all.Wait() }

func (l *load) client(ctx context.Context, c int) {
	for i := 0; ctx.Err() == nil; i++ {
		pair := counter.Pair{Item: fmt.Sprint("item", rand.N(loadItems)), User: fmt.Sprintf("c%d-%d", c, rand.N(5))}
		want := like.Want(rand.N(2))
		for { // also after the end: what has begun must become known
			res, _ := l.nodes[rand.N(len(l.nodes))].try(pair.Item, pair.User, want)
			if res.Err == nil {
				l.ack(pair, res, want)
				break
			}
			if errors.Is(res.Err, like.ErrUnknown) {
				l.unknown.Add(1)
			} else {
				l.refused.Add(1)
			}
			time.Sleep(time.Duration(rand.N(20)) * time.Millisecond)
		}
	}
}

func (l *load) ack(pair counter.Pair, res like.Result, want like.Want) {
	if res.Liked != (want == like.Liked) {
		l.t.Errorf("%v: wanted %v, answered %+v", pair, want, res)
	}
	now := time.Now().UnixNano()
	if gap := now - l.lastAck.Swap(now); gap > l.longest.Load() {
		l.longest.Store(gap)
	}
	l.acked.Add(1)
	if res.Source == like.FromLedger {
		l.direct.Add(1)
	}
	l.mu.Lock()
	l.held[pair] = res.Liked
	l.mu.Unlock()
}

// more waits until so many more ops were acknowledged.
func (l *load) more(n int64) {
	l.t.Helper()
	upTo := l.acked.Load() + n
	await(l.t, "more likes are taken", func() bool { return l.acked.Load() >= upTo })
}

// directOps waits until the load is answered by the ledger.
func (l *load) directOps() {
	l.t.Helper()
	upTo := l.direct.Load() + 20
	await(l.t, "the ledger takes likes", func() bool { return l.direct.Load() >= upTo })
}

func await(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for until := time.Now().Add(25 * time.Second); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

// mode is where everybody writes, and how often that has changed.
func (r *rig) mode() (direct bool, epoch int) {
	r.t.Helper()
	ok(r.t, r.pool.QueryRow(r.t.Context(), `SELECT writes_to = 'ledger', epoch FROM modes`).Scan(&direct, &epoch))
	return direct, epoch
}

func (r *rig) awaitMode(direct bool) time.Duration {
	r.t.Helper()
	start := time.Now()
	await(r.t, fmt.Sprint("the mode is direct: ", direct), func() bool { d, _ := r.mode(); return d == direct })
	return time.Since(start)
}

// settle ends a load and holds that every pair is on both sides what was
// acknowledged last, and that there is nothing to repair.
func (r *rig) settle(l *load) {
	r.t.Helper()
	r.awaitMode(false)
	l.end()
	r.t.Logf("%d likes acknowledged, %d of them by the ledger, %d unknown, %d refused, longest gap %v",
		l.acked.Load(), l.direct.Load(), l.unknown.Load(), l.refused.Load(), time.Duration(l.longest.Load()).Round(time.Millisecond))
	r.drained()
	counts, byUser := map[string]int64{}, map[string][]string{}
	for pair, liked := range l.held {
		byUser[pair.User] = append(byUser[pair.User], pair.Item)
		if liked {
			counts[pair.Item]++
		}
	}
	for user, items := range byUser {
		known, err := r.ledger.Rows(r.t.Context(), items, slices.Repeat([]string{user}, len(items)))
		ok(r.t, err)
		var seen []like.Reading
		await(r.t, "the items can be read", func() bool {
			seen, err = l.nodes[0].Read(r.t.Context(), items, user)
			return err == nil
		})
		for i, item := range items {
			if want := l.held[counter.Pair{Item: item, User: user}]; known[i].Liked != want || seen[i].Liked != want {
				r.t.Errorf("%s, %s: acknowledged %v, the ledger says %v (%v), read %+v", item, user, want, known[i].Liked, known[i].Version, seen[i])
			}
		}
	}
	for item, n := range counts {
		await(r.t, "the item is in Redis", func() bool { // reading loads it
			_, err := l.nodes[0].Read(r.t.Context(), []string{item}, "")
			return err == nil && r.rdb.HExists(r.t.Context(), key(item, "counts"), item).Val()
		})
		r.agree(item, n)
	}
	expect(r.t, r.once(false))
}

// drained waits until the ledger has what the logs hold.
func (r *rig) drained() {
	r.t.Helper()
	await(r.t, "the logs are drained", func() bool {
		r.drain()
		marks, err := r.ledger.Watermarks(r.t.Context())
		ok(r.t, err)
		shard, err := r.log.Waiting(r.t.Context(), marks)
		return err == nil && shard < 0
	})
}

// redisData is where Redis keeps its log.
func (r *rig) redisData() string {
	r.t.Helper()
	return filepath.Join(r.rdb.ConfigGet(r.t.Context(), "dir").Val()["dir"], "appendonlydir")
}

// replace restarts Redis over the files of another directory; "" is none.
func (r *rig) replace(data, other string) {
	r.t.Helper()
	ok(r.t, os.RemoveAll(data))
	if other != "" {
		ok(r.t, os.CopyFS(data, os.DirFS(other)))
	}
	ok(r.t, r.server.Restart(r.t.Context()))
}
