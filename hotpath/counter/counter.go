package counter

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"plusone/hotpath/like"
)

// Source is what the counter needs of the ledger.
type Source interface {
	// Settled returns what the ledger knows of a shard's log, after a drain and imports
	// that are under way: they may hold what Redis has lost since. It fails when the
	// ledger belongs to another number of shards: who has not heard of the change must
	// not open any.
	Settled(ctx context.Context, shards, shard int) (like.Bounds, error)
	// Counts reads the counts of items and whether users[i] likes items[i]
	// ("" = nobody asks; nil users: nobody at all), order kept, zero for items that
	// it does not know.
	Counts(ctx context.Context, items, users []string) ([]like.Reading, error)
	// Sizes tells how large items are, order kept.
	Sizes(ctx context.Context, items []string) ([]like.Size, error)
	// Votes tells what became of the votes refs[i] of items[i], order kept, and up to
	// where the ledger had the logs of shards[i] then.
	Votes(ctx context.Context, items, refs []string, shards []int) ([]like.VoteState, []like.Version, error)
	// LoadLikers calls yield with the users who like the items, each once, at most
	// page users of one item a call. Items without likers are not yielded.
	LoadLikers(ctx context.Context, items []string, page int, yield func(item string, users []string) error) error
	Freezer
}

// Options are the counter's bounds. The zero value of each means its default.
type Options struct {
	Shards     int           // a power of two up to 4096; like.DefaultShards
	MaxPending int           // entries that a shard's log may hold before ops are refused; 65,536
	QueueSize  int           // ops, and reads, that may wait; 32,768
	Timeout    time.Duration // of each exchange with Redis; 1 s
	LoadTime   time.Duration // of loading an item from the ledger; 10 s

	ResidentSetMax int   // likers from which an item is loaded partly; 20,000
	MemoryMax      int64 // bytes that Redis shall use at most; 60 % of its maxmemory, or 1 GiB

	// Quota bounds the likes of each user; zero: nothing does.
	Quota like.Quota

	// Fence says where to write; nil: to Redis, for a process that is alone.
	Fence *Fence
	// Direct takes ops while writes go to the ledger; it needs a Fence.
	Direct Direct

	// Changed is called with each shard whose log has grown. It must not block.
	Changed func(shard int)
	// Metrics, where to register; nil: nowhere.
	Metrics prometheus.Registerer
}

func (o Options) withDefaults() Options {
	if o.Shards == 0 {
		o.Shards = like.DefaultShards
	}
	if o.MaxPending == 0 {
		o.MaxPending = 1 << 16
	}
	if o.QueueSize == 0 {
		o.QueueSize = 1 << 15
	}
	if o.Timeout == 0 {
		o.Timeout = time.Second
	}
	if o.LoadTime == 0 {
		o.LoadTime = 10 * time.Second
	}
	if o.ResidentSetMax == 0 {
		o.ResidentSetMax = 20_000
	}
	if o.Changed == nil {
		o.Changed = func(int) {}
	}
	return o
}

// Counter applies likes to Redis and reads them. It is safe for concurrent use
// and owns its connections and goroutines until Close.
type Counter struct {
	opt  Options
	keys []keys
	src  Source

	guard   *guard                // tells a server that was not looked at yet
	guarded redis.UniversalClient // carries ops and reads
	plain   redis.UniversalClient // carries everything else

	writes *queue[*slot]
	out    *outbox // of whose turn it is at writes
	quota  *quota  // nil: none
	reads  *queue[*look]
	// interview is of whose turn it is at reads.
	interview interview
	votes     *queue[*ballot]
	refs      int // votes that a shard keeps: refsMost
	warm      *warmer
	learn     *learner
	cache     *cache
	meter     *meter

	life  context.Context // ends when Close gives up waiting
	end   context.CancelFunc
	lanes sync.WaitGroup
}

// noNotifications switches off what go-redis asks a new connection for by itself: a
// Redis of one's own sends none, and while one connection waits for the answer, others do.
var noNotifications = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}

// New connects nothing yet; the first op does. conn says where Redis is; its
// retries are switched off, since a script whose answer was lost may have run.
func New(conn redis.UniversalOptions, src Source, opt Options) (*Counter, error) {
	opt = opt.withDefaults()
	if opt.Shards < 1 || opt.Shards > Buckets || opt.Shards&(opt.Shards-1) != 0 {
		return nil, fmt.Errorf("shards must be a power of two from 1 to %d, not %d", Buckets, opt.Shards)
	}
	conn.MaxRetries = -1
	conn.MaintNotificationsConfig = noNotifications
	conn.ContextTimeoutEnabled = true
	conn.DialerRetries = 1
	conn.ReadTimeout, conn.WriteTimeout = opt.Timeout, opt.Timeout

	c := &Counter{refs: refsMost, opt: opt, keys: keysOfAll(opt.Shards), src: src, guard: &guard{}}
	c.plain = redis.NewUniversalClient(&conn)
	guarded := conn
	guarded.OnConnect = c.guard.onConnect
	c.guarded = redis.NewUniversalClient(&guarded)
	c.writes, c.out = newQueue[*slot](opt.QueueSize), newOutbox(c.keys)
	c.reads, c.interview = newQueue[*look](opt.QueueSize), interview{names: c.keys}
	c.votes = newQueue[*ballot](opt.QueueSize)
	c.life, c.end = context.WithCancel(context.Background())
	c.warm = newWarmer(c)
	c.learn = newLearner(c.warm)
	c.cache = newCache()
	c.meter = newMeter(c)
	if opt.Quota.IsOn() {
		c.quota = newQuota(c)
	}

	c.lanes.Go(c.writeLane)
	c.lanes.Go(c.readLane)
	c.lanes.Go(c.voteLane)
	c.lanes.Go(c.warm.run)
	c.lanes.Go(c.learn.run)
	return c, nil
}

// Apply applies ops, those on one pair in their order, and fills results, one per
// op; results[i].Err tells of op i. The ids must have passed like.CheckItem and
// like.CheckUser. An error of Apply itself means that ctx ended first: it wraps
// like.ErrUnavailable when nothing was applied, else like.ErrUnknown. A context with
// Timeout left may be overstepped by as much when it is cancelled.
func (c *Counter) Apply(ctx context.Context, ops []like.Op, results []like.Result) error {
	if len(ops) != len(results) {
		panic("counter: one result per op")
	}
	now := time.Now()
	g := c.opt.Fence.at(now)
	if g.way == nowhere { // at once, whatever the lane waits for
		for i := range results {
			results[i] = like.Result{Err: g.err}
		}
		return nil
	}
	call := c.newCall(ctx, ops)
	// With a quota the lane sends all: reservations that end are its own.
	fits, turn := c.writes.enter(call.waiting, c.quota == nil && c.mayTurn(g, call.deadline.Sub(now)))
	if !fits {
		err := fmt.Errorf("%w: the queue of ops is full", like.ErrBusy)
		for i := range results {
			results[i] = like.Result{Err: err}
		}
		return nil
	}
	if turn {
		c.sendNow(g)
	}
	select {
	case <-call.done:
		for i := range results {
			results[i] = call.slots[i].res
		}
		call.release()
		return nil
	case <-ctx.Done():
		err := fmt.Errorf("%w: %w", like.ErrUnknown, ctx.Err())
		if call.leave() {
			err = fmt.Errorf("%w: what the op needs was not there in time", like.ErrUnavailable)
		}
		for i := range results {
			results[i] = like.Result{Err: err}
		}
		return err
	}
}

// Ready looks at the Redis server, so that the first op need not. A failure is no loss: they will try again.
func (c *Counter) Ready(ctx context.Context) error { return c.verify(ctx) }

// Close refuses new ops, answers those that wait, and ends within ctx.
func (c *Counter) Close(ctx context.Context) error {
	c.writes.close()
	c.reads.close()
	c.votes.close()
	c.warm.queue.close()
	c.learn.queue.close()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.lanes.Wait()
	}()
	var err error
	select {
	case <-ended:
	case <-ctx.Done():
		err = fmt.Errorf("counter: ops were still under way: %w", ctx.Err())
	}
	c.end()
	<-ended
	return errors.Join(err, c.guarded.Close(), c.plain.Close())
}
