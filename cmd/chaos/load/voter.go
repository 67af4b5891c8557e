package load

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"plusone/cmd/chaos/model"
)

// VotedPrefix begins the items that only votes are for.
const VotedPrefix = "voted-"

// Votes are asked for beside the likes: they need both stores, and who waits for one
// must not be missing from the rate.
const (
	voters     = 4
	voteRate   = 40 // requests a second over all of them
	votedItems = 6
	voteRecent = 40 // of its votes a voter asks for again
	voteOften  = 50 // that a voter asks at the end before it gives up
)

// voter pays for votes, asks again and again, and wants some back. It owns its refs.
type voter struct {
	load    *Load
	id      int
	rnd     *rand.Rand
	conns   [2]*conn
	ballots []*model.Ballot
	told    VotesTold
}

// VotesTold sums up what voters were told.
type VotesTold struct{ Votes, Refunds, Unknown, Refused, Races int }

func (v *voter) run(ctx context.Context) {
	defer v.close()
	tick := time.NewTicker(time.Second * voters / voteRate)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		v.ask(v.next())
	}
}

// next picks a new vote, or an old one and something to ask of it.
func (v *voter) next() (*model.Ballot, model.VoteDo) {
	if len(v.ballots) > 0 && v.rnd.IntN(5) > 1 {
		b := v.ballots[len(v.ballots)-1-v.rnd.IntN(min(len(v.ballots), voteRecent))]
		do := []model.VoteDo{model.Count, model.Count, model.Refund, model.LookAtVote, model.Another}[v.rnd.IntN(5)]
		if b.Fits(do) {
			return b, do
		}
		return b, b.Wants()
	}
	n := len(v.ballots)
	b := &model.Ballot{Weight: 1 + v.rnd.Int64N(1000), Pair: model.Pair{
		Item: fmt.Sprintf("%s%d", VotedPrefix, v.rnd.IntN(votedItems)), User: fmt.Sprintf("v%d-%d", v.id, n),
	}}
	v.ballots = append(v.ballots, b)
	if n%16 == 0 { // its refund is faster than the vote
		return b, model.Refund
	}
	return b, model.Count
}

// ask makes a request, now and then of both APIs at once.
func (v *voter) ask(b *model.Ballot, do model.VoteDo) {
	b.Sent(do)
	at := v.rnd.IntN(2)
	if v.rnd.IntN(4) > 0 {
		v.record(b, do, v.conns[at].askVote(do, b, v.load.key))
		return
	}
	var answers [2]model.VoteAnswer
	var both sync.WaitGroup
	for i := range answers {
		both.Go(func() { answers[i] = v.conns[i].askVote(do, b, v.load.key) })
	}
	both.Wait()
	v.told.Races++
	for _, a := range answers {
		v.record(b, do, a)
	}
}

func (v *voter) record(b *model.Ballot, do model.VoteDo, a model.VoteAnswer) {
	if wrong := b.Record(do, a); wrong != nil {
		v.load.wrong(*wrong)
	}
	switch {
	case a.Outcome == model.Unknown:
		v.told.Unknown++
	case a.Outcome == model.Refused:
		v.told.Refused++
	case do == model.Count:
		v.told.Votes++
	case do == model.Refund:
		v.told.Refunds++
	}
}

// settle repeats what has no answer yet, and looks at all once more.
func (v *voter) settle(ctx context.Context) error {
	defer v.close()
	for _, b := range v.ballots {
		for tries := 0; b.Wants() != model.LookAtVote; tries++ {
			if err := ctx.Err(); err != nil {
				return err
			}
			if tries == voteOften {
				return fmt.Errorf("voter %d: the vote %v is never acknowledged", v.id, b.Pair)
			}
			if tries > 0 {
				time.Sleep(pause)
			}
			v.ask(b, b.Wants())
		}
		v.ask(b, model.LookAtVote)
	}
	return nil
}

func (v *voter) close() {
	v.conns[0].close()
	v.conns[1].close()
}

// askVote makes one request about a vote and says what became of it.
func (c *conn) askVote(do model.VoteDo, b *model.Ballot, key string) model.VoteAnswer {
	r := request{method: http.MethodPost, path: "/v1/items/" + b.Pair.Item + "/votes", header: "Authorization: Bearer " + key}
	switch do {
	case model.Count:
		r.body = fmt.Sprintf(`{"ref":%q,"weight":%d}`, b.Pair.User, b.Weight)
	case model.Another:
		r.body = fmt.Sprintf(`{"ref":%q,"weight":%d}`, b.Pair.User, b.Weight+1)
	case model.Refund:
		r.method, r.path = http.MethodDelete, r.path+"/"+b.Pair.User
	case model.LookAtVote:
		r.method, r.path = http.MethodGet, r.path+"/"+b.Pair.User
	}
	status, body, outcome, code := c.send(r)
	a := model.VoteAnswer{At: time.Now(), Via: c.name, Outcome: outcome, Code: code}
	if status != 0 {
		fillInVote(&a, status, body)
	}
	return a
}

// fillInVote is fillIn for votes.
func fillInVote(a *model.VoteAnswer, status int, body []byte) {
	var said struct {
		Weight         int64
		State, Receipt string
		Code           string
	}
	err := json.Unmarshal(body, &said)
	switch {
	case err != nil:
		a.Outcome, a.Code = model.Unknown, "no_json"
	case status == http.StatusOK:
		a.Is, a.Receipt = model.VoteIs{Known: true, Counted: said.State == "counted", Weight: said.Weight}, said.Receipt
	case said.Code == "outcome_unknown", said.Code == "internal":
		a.Outcome, a.Code = model.Unknown, said.Code
	default:
		a.Outcome, a.Code = model.Refused, said.Code
	}
}
