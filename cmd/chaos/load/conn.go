package load

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"plusone/cmd/chaos/model"
)

// Patience is how long a client waits for an answer: longer than the API lets
// an op take, so that only an API that is stuck leaves a client without one.
const Patience = 2500 * time.Millisecond

// conn is a keep-alive connection to one API, opened when it is needed. It is
// closed by any failure, so an answer never belongs to an earlier request.
type conn struct {
	name, addr string
	nc         net.Conn
	r          *bufio.Reader
}

func (c *conn) close() {
	if c.nc != nil {
		_ = c.nc.Close()
		c.nc = nil
	}
}

var requests = map[model.Do]struct{ method, tail string }{
	model.Look: {"GET", ""}, model.Like: {"PUT", "/like"}, model.Unlike: {"DELETE", "/like"}, model.Toggle: {"POST", "/like/toggle"},
}

// request is what a client sends. Its header is one line.
type request struct{ method, path, header, body string }

// ask makes one request about a pair and says what became of it.
func (c *conn) ask(do model.Do, p model.Pair) model.Answer {
	a := model.Answer{Via: c.name}
	r := requests[do]
	status, body, outcome, code := c.send(request{r.method, "/v1/items/" + p.Item + r.tail, "X-User-ID: " + p.User, ""})
	a.At, a.Outcome, a.Code = time.Now(), outcome, code
	if status != 0 {
		fillIn(&a, status, body)
	}
	return a
}

// send makes one request. Without an answer status is 0, and outcome and code say what
// is known.
func (c *conn) send(r request) (status int, body []byte, outcome model.Outcome, code string) {
	if c.nc == nil {
		nc, err := net.DialTimeout("tcp4", c.addr, Patience)
		if err != nil {
			return 0, nil, model.Refused, "no_connection"
		}
		c.nc, c.r = nc, bufio.NewReader(nc)
	}
	status, body, err := c.exchange(r)
	if err == nil {
		return status, body, 0, ""
	}
	c.close()
	if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
		return 0, nil, model.Unknown, "client_timeout"
	}
	return 0, nil, model.Unknown, "no_answer"
}

func (c *conn) exchange(r request) (status int, body []byte, err error) {
	if err := c.nc.SetDeadline(time.Now().Add(Patience)); err != nil {
		return 0, nil, err
	}
	_, err = fmt.Fprintf(c.nc, "%s %s HTTP/1.1\r\nHost: chaos\r\n%s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		r.method, r.path, r.header, len(r.body), r.body)
	if err != nil {
		return 0, nil, err
	}
	res, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return 0, nil, err
	}
	body, err = io.ReadAll(res.Body)
	err = errors.Join(err, res.Body.Close())
	if res.Close {
		c.close()
	}
	return res.StatusCode, body, err
}

// fillIn reads an answer. What is neither 200 nor a problem that says otherwise
// leaves the outcome unknown.
func fillIn(a *model.Answer, status int, body []byte) {
	var said struct {
		Liked   *bool
		Changed bool
		Count   int64
		Receipt string
		Source  string
		Code    string
	}
	err := json.Unmarshal(body, &said)
	switch {
	case err != nil:
		a.Outcome, a.Code = model.Unknown, "no_json"
	case status == http.StatusOK:
		a.Vague = said.Liked == nil
		a.Liked, a.Changed, a.Count, a.Receipt = !a.Vague && *said.Liked, said.Changed, said.Count, said.Receipt
		a.Ledger = said.Source != "" && said.Source != "redis"
	case said.Code == "outcome_unknown", said.Code == "internal":
		a.Outcome, a.Code = model.Unknown, said.Code
	default:
		a.Outcome, a.Code = model.Refused, said.Code
	}
}
