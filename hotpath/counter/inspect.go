package counter

import (
	"context"
	"fmt"
)

// ListMost is the largest set that Look lists; larger ones are read in pages.
const ListMost = 256

// Item is what Redis holds of an item at one moment.
type Item struct {
	ID       string
	Resident bool
	Count    string // as stored; a healthy one is a decimal number
	Size     int64  // its set's cardinality, -1 when the key is no set
	Partly   bool   // resident partly: the set holds what is known of some users
	Users    []string
	Listed   bool   // Users are all of them
	Votes    string // the sum of its votes as stored; "" when it has none
}

// Resident returns a page of a shard's resident items, each at least once over
// all pages; a next cursor of 0 ends it. It needs no pin.
func (l *Log) Resident(ctx context.Context, shard int, cursor uint64) (items []string, next uint64, err error) {
	page, next, err := l.rdb.HScan(ctx, l.keys[shard].counts, cursor, "", 256).Result()
	if err != nil {
		return nil, 0, fmt.Errorf("list the items of shard %d: %w", shard, unavailable(err))
	}
	for i := 0; i < len(page); i += 2 {
		items = append(items, page[i])
	}
	return items, next, nil
}

// Look takes a snapshot of items, in one script: keep them few.
func (p *Pin) Look(ctx context.Context, items []string) ([]Item, error) {
	return p.l.Look(ctx, p.shard, items)
}

// Look is Pin.Look for who only wants to show what is there.
func (l *Log) Look(ctx context.Context, shard int, items []string) ([]Item, error) {
	k := &l.keys[shard]
	names, args := []string{k.counts, k.votes}, []any{ListMost}
	for _, item := range items {
		names = append(names, k.likers+item)
		args = append(args, item)
	}
	reply, err := snapScript.run(ctx, l.rdb, names, args...).Slice()
	if err != nil {
		return nil, fmt.Errorf("look at items of shard %d: %w", shard, unavailable(err))
	}
	if len(reply) != 5*len(items) {
		return nil, fmt.Errorf("look at items of shard %d: redis answered %d values for %d items", shard, len(reply), len(items))
	}
	seen := make([]Item, len(items))
	for i, item := range items {
		seen[i] = itemOf(item, reply[5*i:])
	}
	return seen, nil
}

func itemOf(id string, reply []any) Item {
	item := Item{ID: id}
	item.Count, item.Resident = reply[0].(string)
	item.Size, _ = reply[1].(int64)
	item.Partly = reply[3] == int64(1)
	item.Votes, _ = reply[4].(string)
	users, listed := reply[2].([]any)
	for _, u := range users {
		if s, ok := u.(string); ok {
			item.Users = append(item.Users, s)
		}
	}
	item.Listed = listed || item.Size == 0
	return item
}

// Users returns a page of an item's likers, each at least once over all pages;
// a next cursor of 0 ends it.
func (p *Pin) Users(ctx context.Context, item string, cursor uint64) (users []string, next uint64, err error) {
	users, next, err = p.l.rdb.SScan(ctx, p.k.likers+item, cursor, "", 1000).Result()
	if err != nil {
		return nil, 0, fmt.Errorf("list the likers of %s: %w", item, unavailable(err))
	}
	return users, next, nil
}

// Has reports which of the users are in the item's set.
func (p *Pin) Has(ctx context.Context, item string, users []string) ([]bool, error) {
	members := make([]any, len(users))
	for i, u := range users {
		members[i] = u
	}
	is, err := p.l.rdb.SMIsMember(ctx, p.k.likers+item, members...).Result()
	if err != nil {
		return nil, fmt.Errorf("look for likers of %s: %w", item, unavailable(err))
	}
	return is, nil
}

// Fix is one repair in Redis.
type Fix string

// The repairs, as mend.lua makes them.
const (
	AddUser    Fix = "add"    // into the set, which has lost it
	RemoveUser Fix = "remove" // from the set: the ledger has seen the unlike
	AppendUser Fix = "append" // to the log: the ledger never had it
	SetCount   Fix = "count"  // to the cardinality and the votes
	SetVotes   Fix = "votes"  // to what the ledger says, see Tally
	ShiftCount Fix = "shift"  // by what the ledger says, see Weight
	DropItem   Fix = "drop"   // make it cold: its set or count can't be read
)

// Mended is what came of a repair.
type Mended struct {
	Done          bool   // false: the pair or item is no longer as it was found
	Before, After string // the count, for SetCount and ShiftCount; the sum, for SetVotes
}

// Mend makes one repair, unless the log names the pair (for DropItem the item)
// after the pin. It checks and repairs in one script. Errors: ErrUnpinned.
func (p *Pin) Mend(ctx context.Context, fix Fix, pair Pair) (Mended, error) {
	for {
		if _, named := p.named[pair]; named && fix != SetCount {
			return Mended{}, nil
		}
		reply, err := p.mend(ctx, fix, pair)
		if err != nil || reply[0] != "many" {
			return mendedOf(reply), err
		}
		// look at what has come since in Go, then try again
		if err := p.readOn(ctx); err != nil {
			return Mended{}, err
		}
	}
}

// mend runs mend.lua; the first value is its state.
func (p *Pin) mend(ctx context.Context, fix Fix, pair Pair, more ...any) ([]string, error) {
	if err := p.l.fence.Err(ctx); err != nil {
		return nil, fmt.Errorf("mend (%s) %s: %w", fix, pair.Item, err)
	}
	reply, err := mendScript.run(ctx, p.l.rdb,
		[]string{p.k.meta, p.k.counts, p.k.log, p.k.likers + pair.Item, p.k.pin, p.k.partly, p.k.votes},
		append([]any{string(fix), p.text(), pair.Item, pair.User, p.read.Next().String()}, more...)...).StringSlice()
	switch {
	case err != nil:
		err = unavailable(err)
	case len(reply) == 0:
		err = fmt.Errorf("redis answered nothing")
	case reply[0] == "unpinned":
		err = ErrUnpinned
	}
	if err != nil {
		return nil, fmt.Errorf("mend (%s) %s: %w", fix, pair.Item, err)
	}
	return reply, nil
}

func mendedOf(reply []string) (m Mended) {
	if len(reply) == 0 || reply[0] != "done" {
		return m
	}
	if m.Done = true; len(reply) == 3 {
		m.Before, m.After = reply[1], reply[2]
	}
	return m
}
