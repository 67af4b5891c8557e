package api

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"plusone/hotpath/like"
)

// memory is a small counter and ledger in one that can be told to fail.
type memory struct {
	mu       sync.Mutex
	likes    map[string]map[string]like.Version // item → user → when
	version  like.Version
	calls    int                              // of Apply
	fail     error                            // what every call returns
	failOp   func(like.Op) error              // what an op's result holds
	before   func(context.Context, []like.Op) // runs in Apply, unlocked
	units    func(like.Op, *like.Result)      // makes of a result what a quota does
	told     []like.Notification              // what Notifications lists
	askedBy  string                           // the user of the last Read or ReceiptState
	receipts map[like.Receipt]like.State      // known receipts

	votes  map[[2]string]like.Voted // by item and ref
	polled like.VoteOp              // the last one

	rejectedBy, reason string // of those that are compensated
}

func newMemory() *memory {
	return &memory{
		likes:    map[string]map[string]like.Version{},
		version:  1_700_000_000_000 << 20,
		receipts: map[like.Receipt]like.State{},
	}
}

func (m *memory) Apply(ctx context.Context, ops []like.Op, results []like.Result) error {
	if m.before != nil {
		m.before(ctx, ops)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
	if m.fail != nil {
		return m.fail
	}
	for i, op := range ops {
		if m.failOp != nil {
			if results[i].Err = m.failOp(op); results[i].Err != nil {
				continue
			}
		}
		results[i] = m.apply(op)
		if m.units != nil {
			m.units(op, &results[i])
		}
	}
	return ctx.Err()
}

func (m *memory) apply(op like.Op) like.Result {
	users := m.likes[op.Item]
	if users == nil {
		users = map[string]like.Version{}
		m.likes[op.Item] = users
	}
	_, had := users[op.User]
	want := op.Want == like.Liked || op.Want == like.Toggle && !had
	r := like.Result{Liked: want, Changed: want != had}
	if r.Changed {
		m.version++
		r.Receipt = like.Receipt{Shard: 3, Version: m.version}
		m.receipts[r.Receipt] = like.Accepted
		if want {
			users[op.User] = m.version
		} else {
			delete(users, op.User)
		}
	}
	r.Count = int64(len(users))
	return r
}

// Recent knows of nothing: everything is read.
func (m *memory) Recent([]byte, time.Time) (like.Reading, bool) { return like.Reading{}, false }

func (m *memory) Read(_ context.Context, items []string, user string) ([]like.Reading, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.askedBy = user
	if m.fail != nil {
		return nil, m.fail
	}
	var all []like.Reading
	for _, item := range items {
		_, liked := m.likes[item][user]
		all = append(all, like.Reading{
			Item: item, Count: int64(len(m.likes[item])), Liked: liked,
			Source: like.FromRedis, AsOf: time.UnixMilli(1_700_000_000_042),
		})
	}
	return all, nil
}

func (m *memory) Likers(_ context.Context, item, after string, limit int) ([]like.Liker, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []like.Liker
	for user, v := range m.likes[item] {
		if user > after {
			all = append(all, like.Liker{User: user, At: v.Time()})
		}
	}
	slices.SortFunc(all, func(a, b like.Liker) int { return strings.Compare(a.User, b.User) })
	return all[:min(limit, len(all))], m.fail
}

func (m *memory) LikedBy(_ context.Context, user string, after like.LikedItem, limit int) ([]like.LikedItem, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []like.LikedItem
	for item, users := range m.likes {
		if v, ok := users[user]; ok && (after.Version == 0 || v < after.Version) {
			all = append(all, like.LikedItem{Item: item, Version: v})
		}
	}
	slices.SortFunc(all, func(a, b like.LikedItem) int { return int(b.Version - a.Version) })
	return all[:min(limit, len(all))], m.fail
}

func (m *memory) ReceiptState(_ context.Context, r like.Receipt, user string) (like.Progress, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.askedBy = user
	state, ok := m.receipts[r]
	if !ok {
		return like.Progress{}, like.ErrNotFound
	}
	return like.Progress{State: state, By: m.rejectedBy, Reason: m.reason}, m.fail
}

func (m *memory) Notifications(_ context.Context, after int64, limit int) ([]like.Notification, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []like.Notification
	for _, n := range m.told {
		if n.Seq > after {
			all = append(all, n)
		}
	}
	return all[:min(limit, len(all))], m.fail
}

// applied is how often Apply was called.
func (m *memory) applied() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.calls
}

// Vote keeps one weight for each ref, and adds nothing to a count.
func (m *memory) Vote(_ context.Context, op like.VoteOp) like.Voted {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.polled = op
	at := [2]string{op.Item, op.Ref}
	was, known := m.votes[at]
	switch {
	case m.fail != nil:
		return like.Voted{Err: m.fail}
	case !known && op.Want == like.LookAtVote:
		return like.Voted{Err: like.ErrNotFound}
	case known && op.Want == like.CountVote && was.Weight != op.Weight:
		return like.Voted{Err: like.ErrVoteConflict}
	case known && (op.Want != like.RefundVote || !was.Counted):
		return was
	}
	m.version++
	was.Known, was.Counted, was.Version = true, op.Want == like.CountVote, m.version
	was.Weight = max(was.Weight, op.Weight)
	was.Receipt = like.Receipt{Shard: 3, Version: m.version}
	was.Count = was.Adds()
	if m.votes == nil {
		m.votes = map[[2]string]like.Voted{}
	}
	m.votes[at] = was
	return was
}
