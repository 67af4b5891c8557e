package reconcile

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"plusone/hotpath/counter"
	"plusone/hotpath/like"
)

// world is a ledger far larger than Redis' bound, and what a load on it knows.
//
// Item i is liked by users 0…per-1, the last item by users 0…giant-1; ops choose
// from twice as many. Every client has the users of its own residue.
type world struct {
	items, per, giant int
	bound             int64
	clients           int
	lasts             time.Duration
	strict            bool // asks for calls below 10 ms
}

func (w world) item(i int) string { return fmt.Sprintf("item-%06d", i) }
func (w world) user(k int) string { return fmt.Sprintf("user-%07d", k) }

// likes is how many users like item i at first.
func (w world) likes(i int) int {
	if i == w.items-1 {
		return w.giant
	}
	return w.per
}

func TestALedgerLargerThanRedisIsAnsweredRightlyAndMemoryStaysBelowItsBound(t *testing.T) {
	w := world{items: 4_000, per: 20, giant: 20_000, bound: 5 << 20, clients: 4, lasts: 5 * time.Second}
	if os.Getenv("PLUSONE_TEST_LONG") != "" {
		w = world{items: 200_000, per: 20, giant: 1_000_000, bound: 64 << 20, clients: 8, lasts: 3 * time.Minute, strict: true}
	}
	r := newRigOf(t, counter.Options{Shards: shards, MemoryMax: w.bound, ResidentSetMax: 5_000, LoadTime: 20 * time.Second})
	slow := r.watchSlow()
	r.fill(w)
	r.draining()
	j := NewJanitor(r.log, JanitorOptions{Bound: w.bound, SetMax: 5_000, Every: 50 * time.Millisecond})
	ctx, stop := context.WithCancel(t.Context())
	var parts sync.WaitGroup
	parts.Go(func() { _ = j.Run(ctx) })
	parts.Go(func() { _ = r.reconciler(Options{Every: time.Second, Full: 20 * time.Second}).Run(ctx) })
	var most atomic.Int64
	parts.Go(func() { r.sample(ctx, &most) })
	parts.Go(func() { slow.run(ctx) })

	// A busy machine takes longer until Redis is full.
	until, atLast := time.Now().Add(w.lasts), time.Now().Add(w.lasts+time.Minute)
	more := func() bool {
		now := time.Now()
		return now.Before(until) || j.dropped.Load() < 500 && now.Before(atLast)
	}
	var clients sync.WaitGroup
	touched := make([]map[counter.Pair]bool, w.clients)
	var ops, reads atomic.Int64
	for c := range w.clients {
		touched[c] = map[counter.Pair]bool{}
		clients.Go(func() {
			p := &player{rig: r, world: w, client: c, rnd: rand.New(rand.NewPCG(11, uint64(c))), liked: touched[c]}
			for more() && !t.Failed() {
				ops.Add(p.write())
				reads.Add(p.read())
			}
		})
	}
	clients.Wait()
	stop()
	parts.Wait()
	t.Logf("%d ops, %d reads, %d items evicted, %d users forgotten, at most %d bytes used of %d",
		ops.Load(), reads.Load(), j.dropped.Load(), j.forgotten.Load(), most.Load(), w.bound)
	if most.Load() > w.bound {
		t.Errorf("Redis used %d bytes, the bound is %d", most.Load(), w.bound)
	}
	slow.judge(w.strict)
	r.finalCounts(w, touched)
	var repairs int
	ok(t, r.pool.QueryRow(t.Context(), `SELECT count(*) FROM repairs`).Scan(&repairs))
	if repairs > 0 || j.dropped.Load() == 0 {
		t.Errorf("%d repairs without damage, %d evictions", repairs, j.dropped.Load())
	}
}

// fill puts the world into the ledger.
func (r *rig) fill(w world) {
	r.t.Helper()
	ok(r.t, r.counter.Ready(r.t.Context()))
	for i, n := range []int{w.per, w.giant} {
		from, to := 0, w.items-2
		if i == 1 {
			from, to = w.items-1, w.items-1
		}
		_, err := r.pool.Exec(r.t.Context(), `
			INSERT INTO likes (item_id, user_id, liked, version)
			SELECT 'item-' || lpad(i::text, 6, '0'), 'user-' || lpad(k::text, 7, '0'), true, 1
			  FROM generate_series($1::int, $2::int) i, generate_series(0, $3::int) k`, from, to, n-1)
		ok(r.t, err)
	}
	rows := pgx.CopyFromSlice(w.items, func(i int) ([]any, error) {
		return []any{w.item(i), counter.Bucket(w.item(i)), w.likes(i)}, nil
	})
	_, err := r.pool.CopyFrom(r.t.Context(), pgx.Identifier{"item_counts"}, []string{"item_id", "bucket", "count"}, rows)
	ok(r.t, err)
	_, err = r.pool.Exec(r.t.Context(), `ANALYZE`)
	ok(r.t, err)
}

// sample looks at the memory all the time.
func (r *rig) sample(ctx context.Context, most *atomic.Int64) {
	for ctx.Err() == nil {
		if m, err := r.log.Memory(ctx); err == nil {
			most.Store(max(most.Load(), m.Used))
		}
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// settled waits until the ledger has all that the logs hold, whoever brings it.
func (r *rig) settled() {
	r.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for shard := 0; shard < shards; {
		tail, err := r.log.Tail(r.t.Context(), shard)
		ok(r.t, err)
		known, err := r.ledger.Bounds(r.t.Context(), shard)
		ok(r.t, err)
		switch {
		case tail.Len == 0 || known.Watermark >= tail.Last:
			shard++
		case time.Now().After(deadline):
			r.t.Fatalf("shard %d is not drained", shard)
		default:
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// finalCounts holds both sides to the model, for every item that was touched.
func (r *rig) finalCounts(w world, touched []map[counter.Pair]bool) {
	r.t.Helper()
	r.settled()
	want := map[string]int64{}
	initial := map[string]int64{}
	for i := range w.items {
		initial[w.item(i)] = int64(w.likes(i))
	}
	for _, m := range touched {
		for pair, liked := range m {
			if _, is := want[pair.Item]; !is {
				want[pair.Item] = initial[pair.Item]
			}
			if was := w.liked(pair); was != liked {
				want[pair.Item] += map[bool]int64{true: 1, false: -1}[liked]
			}
		}
	}
	var items []string
	for item := range want {
		if items = append(items, item); len(items) == 100 {
			r.countsAre(items, want)
			items = nil
		}
	}
	r.countsAre(items, want)
	wrong, err := r.ledger.CheckCounts(r.t.Context(), []string{w.item(w.items - 1), w.item(0), w.item(1)})
	ok(r.t, err)
	if len(wrong) > 0 {
		r.t.Errorf("the ledger's counts are not its rows: %+v", wrong)
	}
	r.t.Logf("%d items compared", len(want))
}

func (r *rig) countsAre(items []string, want map[string]int64) {
	r.t.Helper()
	stored, err := r.ledger.Counts(r.t.Context(), items, nil)
	ok(r.t, err)
	read, err := r.counter.Read(r.t.Context(), items, "")
	ok(r.t, err)
	for i, item := range items {
		if stored[i].Count != want[item] || read[i].Count != want[item] {
			r.t.Errorf("%s: ledger %d, %s %d, want %d", item, stored[i].Count, read[i].Source, read[i].Count, want[item])
		}
	}
}

// liked tells of a pair before any op.
func (w world) liked(p counter.Pair) bool {
	var i, k int
	if _, err := fmt.Sscanf(p.Item+" "+p.User, "item-%d user-%d", &i, &k); err != nil {
		panic(err)
	}
	return k < w.likes(i)
}

// player is one client: it knows what each of its pairs must be.
type player struct {
	*rig
	world
	client int
	rnd    *rand.Rand
	liked  map[counter.Pair]bool
}

// pair picks one of the client's pairs, in one of ten ops of the giant item.
func (p *player) pair() counter.Pair {
	i := p.rnd.IntN(p.items)
	if p.rnd.IntN(10) == 0 {
		i = p.items - 1
	}
	k := p.rnd.IntN(2*p.likes(i)/p.clients)*p.clients + p.client
	return counter.Pair{Item: p.item(i), User: p.user(k)}
}

func (p *player) is(pair counter.Pair) bool {
	if liked, touched := p.liked[pair]; touched {
		return liked
	}
	return p.world.liked(pair)
}

// write makes ops until they are accepted, and checks the answers. An op that is
// refused has not been applied; here no answer is lost.
func (p *player) write() (done int64) {
	ops, res := make([]like.Op, 50), make([]like.Result, 50)
	for i := range ops {
		pair := p.pair()
		ops[i] = like.Op{Item: pair.Item, User: pair.User, Want: like.Want(p.rnd.IntN(3))}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := p.counter.Apply(ctx, ops, res); err != nil {
		p.t.Error(err)
		return done
	}
	for i, op := range ops {
		pair := counter.Pair{Item: op.Item, User: op.User}
		was := p.is(pair)
		want := op.Want == like.Liked || op.Want == like.Toggle && !was
		switch {
		case res[i].Err != nil:
			p.t.Errorf("%+v: %v", op, res[i].Err)
		case res[i].Liked != want || res[i].Changed != (was != want):
			p.t.Errorf("%+v, liked before: %v: %+v", op, was, res[i])
		default:
			done++
		}
		p.liked[pair] = want
	}
	return done
}

func (p *player) read() int64 {
	pair := p.pair()
	items := []string{pair.Item}
	for range 19 {
		items = append(items, p.pair().Item)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	got, err := p.counter.Read(ctx, items, pair.User)
	if err != nil {
		p.t.Error(err)
		return 0
	}
	for i, item := range items {
		if want := p.is(counter.Pair{Item: item, User: pair.User}); got[i].Liked != want {
			p.t.Errorf("%s of %s reads %+v, want %v", item, pair.User, got[i], want)
		}
	}
	return int64(len(items))
}
