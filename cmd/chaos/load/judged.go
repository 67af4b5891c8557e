package load

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"plusone/cmd/chaos/model"
	"plusone/cmd/chaos/partner"
)

// JudgedPrefix begins the items that only judged likes are for.
const JudgedPrefix = "judged-"

// judgedItems are shared by the judged likes of a client; every judgedEvery of its
// requests is one, and every third of those is a suspect's.
const (
	judgedItems = 4
	judgedEvery = 12
)

// Judged is a like that participants decide about: it is asked for until it is
// acknowledged, once, and never touched again.
type Judged struct {
	Pair    model.Pair
	Suspect bool
	Receipt string // of the last answer that had one
	acked   bool
}

// judge makes a new judged like.
func (c *client) judge(ctx context.Context) {
	n := len(c.judged)
	j := &Judged{Suspect: n%3 == 0}
	j.Pair = model.Pair{Item: fmt.Sprintf("%s%d-%d", JudgedPrefix, c.id, n%judgedItems), User: fmt.Sprintf("c%d-j%d", c.id, n)}
	if j.Suspect {
		j.Pair.User = partner.Suspect + j.Pair.User
	}
	c.judged = append(c.judged, j)
	for try := 0; try < 20 && !j.acked && ctx.Err() == nil; try++ {
		if try > 0 {
			time.Sleep(pause)
		}
		c.plead(j)
	}
}

// plead asks once. Its answers are not checked: participants may have taken the
// like back already.
func (c *client) plead(j *Judged) {
	a := c.conns[(c.id+int(time.Now().UnixNano()))&1].ask(model.Like, j.Pair)
	if a.Receipt != "" {
		j.Receipt = a.Receipt
	}
	j.acked = a.Outcome == model.Acked
	switch {
	case j.acked:
		c.load.timeline.Acked(a.At)
	default:
		c.load.timeline.Failed(a.At, a.Code, a.Outcome == model.Unknown)
	}
}

// pleadAll asks for what has not been acknowledged yet.
func (c *client) pleadAll(ctx context.Context) error {
	for _, j := range c.judged {
		for tries := 0; !j.acked && ctx.Err() == nil; tries++ {
			if tries == 50 {
				return fmt.Errorf("client %d: the like of %v is never acknowledged", c.id, j.Pair)
			}
			if tries > 0 {
				time.Sleep(pause)
			}
			c.plead(j)
		}
	}
	return ctx.Err()
}

// Judged are all judged likes. Run and Settle must be over.
func (l *Load) Judged() (all []*Judged) {
	for _, c := range l.clients {
		all = append(all, c.judged...)
	}
	return all
}

// Told is what an API says to a user about a receipt: its state, and by whom it
// was decided.
func Told(ctx context.Context, addr string, j *Judged) (state, by string, err error) {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/v1/receipts/"+j.Receipt, nil)
	if err != nil {
		return "", "", err
	}
	req.Header.Set("X-User-ID", j.Pair.User)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", "", err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return "", "", err
	}
	var said struct{ State, By string }
	if err := json.Unmarshal(body, &said); err != nil || res.StatusCode != http.StatusOK {
		return "", "", fmt.Errorf("receipt %s: %d %s", j.Receipt, res.StatusCode, body)
	}
	return said.State, said.By, nil
}
