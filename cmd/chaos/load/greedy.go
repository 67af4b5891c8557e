package load

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"plusone/cmd/chaos/model"
)

// GreedyPrefix begins the items that only greedy users like.
const GreedyPrefix = "greedy-"

// A greedy user wants so many new items at once, so often. After greedyMost, more than
// the quota allows and no more than participants do, the next user comes.
const (
	greedyOps   = 11
	greedyMost  = 99
	greedyPause = 500 * time.Millisecond
)

// Greedy are users who like more than the quota allows, each item once, one user
// after the other. It is for one goroutine.
type Greedy struct {
	load  *Load
	name  func(n int) string
	conns [2]*conn
	likes []*GreedyLike
	turn  int
}

// GreedyLike is what a greedy user knows of a like. While it is open it has no good
// answer and is asked for again.
type GreedyLike struct {
	Pair    model.Pair
	At      time.Time // of the last answer
	Liked   bool      // it was acknowledged
	Refused bool      // by the quota
	Doubt   bool      // once no answer told whether it was applied
	Ledger  bool      // it was written where nobody counts
	Calm    bool      // no fault was on when it was asked for and acknowledged
}

func (l *GreedyLike) open() bool { return !l.Liked && !l.Refused }

func (g *Greedy) run(ctx context.Context) {
	defer g.close()
	tick := time.NewTicker(greedyPause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			g.want(greedyOps)
		}
	}
}

// want asks for what is open, and for new items up to n.
func (g *Greedy) want(n int) {
	var ask []*GreedyLike
	for _, l := range g.likes[max(0, len(g.likes)-20*greedyOps):] {
		if l.open() && len(ask) < n {
			ask = append(ask, l)
		}
	}
	for len(ask) < n {
		l := &GreedyLike{Pair: model.Pair{
			Item: fmt.Sprintf("%s%d", GreedyPrefix, len(g.likes)%greedyMost), User: g.name(len(g.likes) / greedyMost),
		}}
		g.likes, ask = append(g.likes, l), append(ask, l)
	}
	g.ask(ask)
}

// ask asks for likes in one request.
func (g *Greedy) ask(likes []*GreedyLike) {
	ops := make([]string, len(likes))
	for i, l := range likes {
		ops[i] = fmt.Sprintf(`{"item":%q,"user":%q,"liked":true}`, l.Pair.Item, l.Pair.User)
	}
	g.turn++
	before := g.load.moment.Load()
	status, body, outcome, code := g.conns[g.turn%2].send(request{
		http.MethodPost, "/v1/likes", "Authorization: Bearer " + g.load.key, `{"ops":[` + strings.Join(ops, ",") + `]}`,
	})
	var said struct {
		Code    string
		Results []struct {
			Liked  bool
			Source string
			Error  *struct{ Code string }
		}
	}
	if status != 0 && json.Unmarshal(body, &said) != nil {
		outcome = model.Unknown
	}
	if status == http.StatusOK && len(said.Results) != len(likes) || status != http.StatusOK && code == "" {
		code = said.Code
	}
	quiet := calm(before, g.load.moment.Load())
	for i, l := range likes {
		l.At = time.Now()
		switch {
		case status != http.StatusOK || len(said.Results) != len(likes):
			l.Doubt = l.Doubt || outcome == model.Unknown || unsure(code)
		case said.Results[i].Error == nil:
			r := said.Results[i]
			l.Liked, l.Ledger, l.Calm = r.Liked, r.Source != "", quiet
		default:
			l.Refused = said.Results[i].Error.Code == "quota_exceeded"
			l.Doubt = l.Doubt || unsure(said.Results[i].Error.Code)
		}
	}
}

// unsure reports whether an error leaves open whether something was applied.
func unsure(code string) bool { return code == "outcome_unknown" || code == "internal" }

// settle repeats what has no answer yet.
func (g *Greedy) settle(ctx context.Context) error {
	defer g.close()
	for _, l := range g.likes {
		for tries := 0; l.open(); tries++ {
			if tries == 50 || ctx.Err() != nil {
				return fmt.Errorf("%v was never acknowledged or refused: %w", l.Pair, ctx.Err())
			}
			if tries > 0 {
				time.Sleep(pause)
			}
			g.ask([]*GreedyLike{l})
		}
	}
	return nil
}

// Want asks for one more like, which makes Redis look for reservations that nobody
// has ended.
func (g *Greedy) Want() {
	g.want(1)
	g.close()
}

// Likes are all that the users know.
func (g *Greedy) Likes() []*GreedyLike { return g.likes }

func (g *Greedy) close() {
	g.conns[0].close()
	g.conns[1].close()
}
