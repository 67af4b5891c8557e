package model_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"plusone/cmd/internal/model"
	"plusone/hotpath/counter"
	"plusone/hotpath/like"
)

// live begins the names of items that others change meanwhile; look passes them.
const live = "live-"

func isLive(item string) bool { return strings.HasPrefix(item, live) }

// look reads everything that both stores hold, over doors of its own.
func (r *rig) look(shards int) (*model.Seen, error) {
	ctx := context.Background()
	s := &model.Seen{
		Shards: make([]model.SeenShard, shards), Items: map[string]model.SeenItem{},
		Rows: map[model.Pair]model.Row{}, Counts: map[string]int64{}, Votes: map[string]int64{},
	}
	if err := r.lookAtRedis(ctx, s); err != nil {
		return nil, fmt.Errorf("look at redis: %w", err)
	}
	if err := r.lookAtLedger(ctx, s); err != nil {
		return nil, fmt.Errorf("look at the ledger: %w", err)
	}
	return s, nil
}

// ofShard are the questions about one shard.
type ofShard struct {
	meta   *redis.StringCmd
	counts *redis.MapStringStringCmd
	log    *redis.XMessageSliceCmd
	info   *redis.XInfoStreamCmd
	pin    *redis.IntCmd
	partly *redis.StringSliceCmd
	votes  *redis.MapStringStringCmd
}

func (r *rig) lookAtRedis(ctx context.Context, s *model.Seen) error {
	pipe := r.doors[r.active].Pipeline()
	asked := make([]ofShard, len(s.Shards))
	for n := range asked {
		asked[n] = ofShard{
			meta: pipe.HGet(ctx, key(n, "meta"), "shards"), counts: pipe.HGetAll(ctx, key(n, "counts")),
			log: pipe.XRange(ctx, key(n, "log"), "-", "+"), info: pipe.XInfoStream(ctx, key(n, "log")),
			pin: pipe.Exists(ctx, key(n, "pin")), partly: pipe.SMembers(ctx, key(n, "partly")),
			votes: pipe.HGetAll(ctx, key(n, "votes")),
		}
	}
	sets := map[string]*redis.StringSliceCmd{}
	for _, item := range items {
		sets[item] = pipe.SMembers(ctx, key(counter.ShardOf(item, len(s.Shards)), "likers:"+item))
	}
	_, _ = pipe.Exec(ctx) // each command holds its own error
	for n := range asked {
		if err := asked[n].read(&s.Shards[n], len(s.Shards)); err != nil {
			return fmt.Errorf("shard %d: %w", n, err)
		}
		if !s.Shards[n].Open {
			continue
		}
		if err := resident(s, &asked[n], sets); err != nil {
			return fmt.Errorf("shard %d: %w", n, err)
		}
	}
	return nil
}

func (a *ofShard) read(s *model.SeenShard, shards int) error {
	s.Open = a.meta.Val() == strconv.Itoa(shards)
	s.Pinned = a.pin.Val() == 1
	if err := a.log.Err(); err != nil {
		return err
	}
	for _, m := range a.log.Val() {
		e, err := entry(m)
		if err != nil {
			return err
		}
		s.Entries = append(s.Entries, e)
	}
	if err := a.info.Err(); err != nil {
		if strings.Contains(err.Error(), "no such key") {
			return nil
		}
		return err
	}
	var err error
	s.Last, err = like.ParseVersion(a.info.Val().LastGeneratedID)
	return err
}

// entry reads an entry's text, apart from the code that is under test.
func entry(m redis.XMessage) (e model.Entry, err error) {
	e.Version, err = like.ParseVersion(m.ID)
	text, ok := m.Values["d"].(string)
	if !ok || err != nil {
		return e, err
	}
	for _, line := range strings.Split(text, "\n") {
		words := strings.Split(line, " ")
		for _, w := range words[1:] {
			ch := like.Change{Item: words[0], User: w[1:], Liked: w[0] == '+', Version: e.Version}
			if part := strings.Split(ch.User, "%"); len(part) == 3 { // %weight%ref
				n, err := strconv.Atoi(part[1])
				if err != nil {
					return e, err
				}
				ch.User, ch.Weight = like.VoteUser(part[2]), int32(n)
			}
			e.Changes = append(e.Changes, ch)
		}
	}
	return e, nil
}

// resident notes the items that counts names. Those that are resident partly must
// be named so: a like of another item does not look whether it is.
func resident(s *model.Seen, a *ofShard, sets map[string]*redis.StringSliceCmd) error {
	partly, votes := a.partly.Val(), a.votes.Val()
	for item, count := range a.counts.Val() {
		if isLive(item) {
			continue
		}
		n, err := strconv.ParseInt(count, 10, 64)
		if err != nil || sets[item] == nil {
			return fmt.Errorf("item %q counts %q", item, count)
		}
		it := model.SeenItem{Count: n, Users: model.Set{}, Others: model.Set{}}
		for _, member := range sets[item].Val() {
			user, other := strings.CutPrefix(member, "%")
			switch {
			case user == "":
				it.Partly = true
			case other:
				it.Others[user] = true
			default:
				it.Users[user] = true
			}
		}
		if it.Partly != slices.Contains(partly, item) {
			return fmt.Errorf("item %q is resident partly: %t, but named so are %q", item, it.Partly, partly)
		}
		if sum, has := votes[item]; has {
			if it.Votes, err = strconv.ParseInt(sum, 10, 64); err != nil {
				return err
			}
		}
		s.Items[item] = it
	}
	return nil
}

func (r *rig) lookAtLedger(ctx context.Context, s *model.Seen) error {
	rows, err := r.door.Query(ctx, `
		SELECT 1, item_id, user_id, liked, version, 0 FROM likes
		UNION ALL SELECT 1, item_id, '%' || ref, counted, version, weight FROM votes
		UNION ALL SELECT 2, item_id, '', false, count, 0 FROM item_counts
		UNION ALL SELECT 3, shard::text, '', false, version, 0 FROM watermarks
		UNION ALL SELECT 4, shard::text, '', false, floor, 0 FROM watermarks
		UNION ALL SELECT 5, '', '', false, count(*), 0 FROM repairs
		UNION ALL SELECT 6, item_id, '', false, votes, 0 FROM item_counts WHERE votes IS NOT NULL
		UNION ALL SELECT 7, shard::text, '', false, version, 0 FROM import_marks`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var kind int
		var item, user string
		var liked bool
		var n int64
		var weight int32
		if err := rows.Scan(&kind, &item, &user, &liked, &n, &weight); err != nil {
			return err
		}
		if isLive(item) {
			continue
		}
		shard, _ := strconv.Atoi(item)
		switch {
		case kind == 1:
			s.Rows[model.Pair{Item: item, User: user}] = model.Row{Liked: liked, Version: like.Version(n), Weight: weight}
		case kind == 2:
			s.Counts[item] = n
		case kind == 6:
			s.Votes[item] = n
		case kind == 5:
			s.Repairs = int(n)
		case shard >= len(s.Shards): // a process with another number of shards asked for it
		case kind == 3:
			s.Shards[shard].Watermark = like.Version(n)
		case kind == 4:
			s.Shards[shard].Floor = like.Version(n)
		case kind == 7:
			s.Shards[shard].Signed = like.Version(n)
		}
	}
	return rows.Err()
}

func key(shard int, name string) string { return fmt.Sprintf("p1:{%d}:%s", shard, name) }
