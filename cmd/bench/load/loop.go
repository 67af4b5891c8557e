package load

import (
	"bytes"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"
)

// loop is one thread of a load and its connections.
type loop struct {
	plan  Plan
	conns []conn
	poll  *poll
	tmpl  template
	draw  *draw
	room  []byte
	wall  time.Time // when the load began
	due   *schedule // nil: closed loop
	held  *atomic.Bool
	idle  []int         // connections without a request: of the open loop, or while held
	done  atomic.Uint64 // ops acknowledged

	begin, end time.Duration // of the measured time
	res        Result
	hist       *hdrhistogram.Histogram
}

// The latencies that can be told: 1 µs to a minute, to 0.1 %.
func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, 60_000_000, 3) }

func newLoop(p Plan, thread int, held *atomic.Bool) (_ *loop, err error) {
	l := &loop{plan: p, tmpl: newTemplate(p), draw: newDraw(p, thread), room: make([]byte, 64<<10), hist: newHistogram(), held: held}
	l.res.Codes = map[int]uint64{}
	l.begin, l.end = p.Warm, p.Warm+p.For
	if l.poll, err = newPoll(); err != nil {
		return nil, err
	}
	n := p.Conns / p.Threads
	if thread < p.Conns%p.Threads {
		n++
	}
	l.conns = make([]conn, n)
	for i := range l.conns {
		c := &l.conns[i]
		if c.fd, err = dial(p.Addr); err != nil {
			return nil, errors.Join(fmt.Errorf("load: connect to %s: %w", p.Addr, err), l.close())
		}
		c.request = bytes.Clone(l.tmpl.bytes)
		l.idle = append(l.idle, i)
		if err := l.poll.add(c.fd, i); err != nil {
			return nil, errors.Join(err, l.close())
		}
	}
	if p.Rate > 0 {
		l.due = &schedule{every: float64(p.Threads) / p.Rate * 1e9, offset: float64(thread) / p.Rate * 1e9}
	}
	return l, nil
}

func (l *loop) close() error {
	err := l.poll.close()
	for i := range l.conns {
		if l.conns[i].fd != 0 {
			err = errors.Join(err, unix.Close(l.conns[i].fd))
		}
	}
	return err
}

// patience is how long answers are waited for once nothing more is sent.
const patience = 5 * time.Second

// run sends until its time is over, and waits for what is under way.
func (l *loop) run() error {
	for {
		now := time.Since(l.wall)
		sending := now < l.end && (l.plan.Most == 0 || l.draw.user < l.plan.FirstUser+l.plan.Most)
		if !sending && (len(l.idle) == len(l.conns) || now > l.end+patience) {
			break
		}
		wait := 10 * time.Millisecond
		if sending {
			due, err := l.start(now)
			if err != nil {
				return err
			}
			wait = min(wait, due)
		}
		if err := l.poll.wait(wait, func(i int) error { return l.ready(i, sending) }); err != nil {
			return err
		}
	}
	for i := range l.conns {
		if l.conns[i].busy {
			l.res.Unknown += uint64(l.plan.Ops)
		}
	}
	return nil
}

// start sends on free connections what may be sent now, and tells how long to
// wait at most for the next that falls due.
func (l *loop) start(now time.Duration) (time.Duration, error) {
	for len(l.idle) > 0 && !l.held.Load() {
		from := int64(now)
		if l.due != nil {
			if from = l.due.at(); from > int64(now) {
				return time.Duration(from - int64(now)), nil
			}
			l.due.n++
		}
		i := l.idle[0]
		l.idle = l.idle[1:]
		if err := l.send(&l.conns[i], from); err != nil {
			return 0, err
		}
	}
	return time.Second, nil
}

func (l *loop) send(c *conn, from int64) error {
	l.tmpl.fill(c.request, l.draw)
	c.from = from
	return c.send()
}

// ready takes what has come on a connection and, in the closed loop, sends the
// next request at once.
func (l *loop) ready(i int, sending bool) error {
	c := &l.conns[i]
	answer, err := c.receive(l.room)
	if err != nil || answer == nil {
		return err
	}
	now := int64(time.Since(l.wall))
	l.took(answer, c.from, now)
	c.busy = false
	if sending && l.due == nil && !l.held.Load() {
		return l.send(c, now)
	}
	l.idle = append(l.idle, i)
	return nil
}

var changed = []byte(`"changed":true`)

// took counts an answer.
func (l *loop) took(answer []byte, from, now int64) {
	ops := uint64(l.plan.Ops)
	code := status(answer)
	l.res.Codes[code]++
	switch {
	case code == 503 && bytes.Contains(answer, []byte("outcome_unknown")):
		l.res.Unknown += ops
		return
	case code != 200:
		l.res.Refused += ops
		return
	case l.plan.Kind == Bulk: // an op may fail alone
		acked := uint64(bytes.Count(answer, changed))
		l.res.Unknown += ops - acked
		ops = acked
	}
	l.res.Acked += ops
	l.done.Store(l.res.Acked)
	if at := time.Duration(now); at < l.begin || at >= l.end {
		return
	}
	l.res.Requests++
	l.res.Ops += ops
	_ = l.hist.RecordValue(max(1, (now-from)/1000)) // beyond a minute: patience has ended the run
}

// schedule is when requests fall due.
type schedule struct {
	n             uint64
	every, offset float64 // ns
}

func (s *schedule) at() int64 { return int64(s.offset + float64(s.n)*s.every) }
