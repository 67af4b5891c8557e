package operator

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/time/rate"

	"plusone/hotpath/counter"
	"plusone/hotpath/like"
	"plusone/tasks/ledger"
)

// Likes loads what it is asked for into Redis, as counter.Counter does.
type Likes interface {
	Apply(ctx context.Context, ops []like.Op, results []like.Result) error
	Read(ctx context.Context, items []string, user string) ([]like.Reading, error)
}

// Config says how fast, and for how long what was done can be undone.
type Config struct {
	Rate int           // likes a second that one process takes back or returns, at most
	Keep time.Duration // how long revocations that have ended are kept
}

// Operator does what was asked for. Any number of processes may run one.
type Operator struct {
	ledger *ledger.Ledger
	log    *counter.Log
	likes  Likes
	ring   func(shards ...int) // asks for drains
	cfg    Config
	pace   *rate.Limiter
	name   string // in claims
}

const (
	pageSize  = 256
	leaseTime = time.Minute
	stepTime  = 10 * time.Second // of one exchange with a store
	lookEvery = time.Second
	pruneTime = time.Hour
	loadPause = 50 * time.Millisecond
	waitTime  = 30 * time.Second // for drains, before it is told
)

// New returns an Operator that does nothing until Run is called.
func New(l *ledger.Ledger, log *counter.Log, likes Likes, ring func(shards ...int), cfg Config) *Operator {
	return &Operator{
		ledger: l, log: log, likes: likes, ring: ring, cfg: cfg,
		pace: rate.NewLimiter(rate.Limit(cfg.Rate), max(cfg.Rate/10, pageSize)), name: rand.Text(),
	}
}

// Run works until ctx ends.
func (o *Operator) Run(ctx context.Context) error {
	var pruned time.Time
	var ill bool
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		err := o.Turn(ctx)
		if err == nil && time.Since(pruned) > pruneTime {
			pruned = time.Now()
			err = o.ledger.PruneRevocations(ctx, o.cfg.Keep)
		}
		if bad := err != nil && ctx.Err() == nil; bad != ill {
			ill = bad
			slog.InfoContext(ctx, "what operators have asked for", "held_up", ill, "error", err)
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	return nil
}

// Turn does what is there to be done now.
func (o *Operator) Turn(ctx context.Context) error {
	return errors.Join(o.letters(ctx), o.revocation(ctx))
}

func within(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	return do(ctx)
}

// load has Redis load what it lacks, without changing anything. A failure is no loss:
// the next look finds it missing again.
func (o *Operator) load(ctx context.Context, pairs []ledger.Revoked) {
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	// A name that nobody has, so nothing is there to be unliked.
	nobody, cold := "nobody-"+o.name, make([]like.Op, len(pairs))
	byUser := map[string][]string{}
	for i, p := range pairs {
		cold[i] = like.Op{Item: p.Item, User: nobody, Want: like.NotLiked}
		byUser[p.User] = append(byUser[p.User], p.Item)
	}
	_ = o.likes.Apply(ctx, cold, make([]like.Result, len(cold)))
	for user, items := range byUser { // for items that are resident partly
		_, _ = o.likes.Read(ctx, items, user)
	}
}

// drained waits until the ledger has what the logs hold now.
func (o *Operator) drained(ctx context.Context, hold func(context.Context) error) error {
	tails, err := o.log.Tails(ctx)
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(waitTime); ; {
		marks, err := o.ledger.Watermarks(ctx)
		if err != nil {
			return err
		}
		behind := -1
		for shard, tail := range tails {
			if tail.Len > 0 && tail.Last > marks[shard] {
				behind = shard
				o.ring(shard)
			}
		}
		if behind < 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the log of shard %d is not drained", behind)
		}
		if err := hold(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(loadPause):
		}
	}
}
