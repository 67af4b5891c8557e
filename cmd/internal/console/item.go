package console

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"plusone/hotpath/counter"
	"plusone/hotpath/like"
	"plusone/tasks/ledger"
)

// itemView is all that is known of an item. What one store does not tell is nil.
type itemView struct {
	ID      string
	Shard   int
	Redis   *redisSide
	Ledger  *ledgerSide
	Pending bool // the log of its shard has what Postgres lacks
	Verdict
	Frozen  ledger.FrozenItem
	Acts    []ledger.Act
	Likers  []like.Liker
	Next    string // the last of this page of likers, when there may be more
	First   bool   // it is the first page
	Windows []ledger.ItemWindow
	Repairs []ledger.RepairView
}

// Verdict says in a sentence how the two sides stand.
type Verdict struct{ State, Says string }

// redisSide is what Redis holds of an item.
type redisSide struct {
	Residency string // wholly, partly, cold, broken
	Count     string // as stored
	Size      int64  // of its set
	Votes     string
	Waiting   int64 // entries of the shard's log
	last      like.Version
}

// ledgerSide is what Postgres has of it.
type ledgerSide struct {
	Count, Votes int64
	Likes        int64 // without votes
}

const likersPage = 50

func (c *Console) item(ctx context.Context, r *http.Request) (any, error) {
	v := itemView{ID: r.FormValue("id"), First: r.FormValue("after") == ""}
	if err := like.CheckItem(v.ID); err != nil {
		return nil, err
	}
	v.Shard = counter.ShardOf(v.ID, c.opt.Log.Shards())
	v.Redis = c.redisSide(ctx, v.Shard, v.ID)
	if err := c.ledgerPart(ctx, &v, r.FormValue("after")); err != nil {
		v.Ledger = nil
		v.Verdict = Verdict{Failed, "Postgres does not answer, so what it has of this item is not known."}
		return v, nil //nolint:nilerr // the page says so, and what Redis holds
	}
	v.Verdict = v.verdict()
	return v, nil
}

func (c *Console) redisSide(ctx context.Context, shard int, item string) *redisSide {
	seen, err := c.opt.Log.Look(ctx, shard, []string{item})
	if err != nil {
		return nil
	}
	tail, err := c.opt.Log.Tail(ctx, shard)
	if err != nil {
		return nil
	}
	s := &redisSide{Residency: "wholly", Count: seen[0].Count, Size: seen[0].Size, Votes: seen[0].Votes, Waiting: tail.Len, last: tail.Last}
	switch {
	case !seen[0].Resident:
		s.Residency = "cold"
	case s.Size < 0:
		s.Residency = "broken"
	case seen[0].Partly:
		s.Residency = "partly"
	}
	return s
}

func (c *Console) ledgerPart(ctx context.Context, v *itemView, after string) (err error) {
	var has ledger.Sums
	var watermark like.Version
	err = c.opt.Ledger.AtOnce(ctx, func(m *ledger.Moment) (err error) {
		has, watermark, err = m.Sums(ctx, v.Shard, v.ID)
		return err
	})
	if err != nil {
		return err
	}
	v.Ledger = &ledgerSide{Count: has.Count, Votes: has.Votes, Likes: has.Count - has.Votes}
	v.Pending = v.Redis != nil && v.Redis.last > watermark
	if v.Likers, err = c.opt.Ledger.Likers(ctx, v.ID, after, likersPage+1); err != nil {
		return err
	}
	if len(v.Likers) > likersPage {
		v.Likers = v.Likers[:likersPage]
		v.Next = v.Likers[likersPage-1].User
	}
	if v.Frozen, v.Acts, err = c.opt.Ledger.FrozenItem(ctx, v.ID); err != nil {
		return err
	}
	if v.Windows, err = c.opt.Ledger.ItemWindows(ctx, v.ID, 20); err != nil {
		return err
	}
	v.Repairs, err = c.opt.Ledger.Repairs(ctx, ledger.RepairFilter{Item: v.ID, Limit: 20})
	return err
}

// verdict compares what a person can compare. Only a reconciler knows whether a
// difference is drift.
func (v *itemView) verdict() Verdict {
	switch s := v.Redis; {
	case s == nil:
		return Verdict{Degraded, "Redis does not answer, so what it holds of this item is not known. Likes of it are written to Postgres, or wait."}
	case s.Residency == "cold" && v.Ledger.Count == 0:
		return Verdict{Fine, "Nobody likes it, as far as is known."}
	case s.Residency == "cold":
		return Verdict{Fine, "It is cold: Postgres has it, and Redis loads it when it is asked for."}
	case s.Residency == "broken":
		return Verdict{Failed, "Its set can't be read. Its likes are answered 503 until it is reconciled; Postgres has it all."}
	case s.Count == strconv.FormatInt(v.Ledger.Count, 10):
		return Verdict{Fine, "Both sides count the same."}
	case v.Pending:
		return Verdict{Fine, "The counts differ, and the log of its shard holds changes that Postgres lacks. Look again when it is drained."}
	default:
		return Verdict{Degraded, "The counts differ, and no change waits in the log. If a second look says the same, reconcile it."}
	}
}

// hotView is what changed lately.
type hotView struct {
	Within time.Duration
	Items  []ledger.HotItem
}

const hotTime = 15 * time.Minute

func (c *Console) hot(ctx context.Context, _ *http.Request) (any, error) {
	found, err := c.opt.Ledger.HotItems(ctx, hotTime, 50)
	return hotView{hotTime, found}, err
}
