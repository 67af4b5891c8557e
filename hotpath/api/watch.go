package api

import (
	"net"
	"time"
)

// The times of a connection (for reading, for writing, for the request in hand) are
// written down and looked at all together: a timer for each, set three times and
// stopped once a request, took a twentieth of the server's time. So each ends up to
// a look late.
const (
	looks     = 16 // within the shortest time
	lookEvery = 100 * time.Millisecond
	lookFirst = 5 * time.Millisecond
)

// longAgo makes a connection's waiting end at once.
var longAgo = time.Unix(1, 0)

// clock is a time on the connections' clock, which nobody sets; 0 is no time.
func (s *connections) clock(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return max(1, int64(t.Sub(s.start)))
}

// watch ends what is overdue until stop is closed and all connections are gone.
func (s *connections) watch(shortest time.Duration, stop <-chan struct{}) {
	tick := time.NewTicker(min(lookEvery, max(lookFirst, shortest/looks)))
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.look()
		case <-s.gone: // one of the last
		case <-stop:
			stop = nil
			s.leaving.Store(true)
		}
		if stop == nil && s.count() == 0 {
			return
		}
	}
}

func (s *connections) look() {
	now := s.clock(time.Now())
	for _, c := range s.late(now) {
		c.end(now)
	}
}

// late are the connections of which something is overdue. To end them wakes many
// at once, so it is not done while others wait for the lock.
func (s *connections) late(now int64) (late []*conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.open {
		if c.late(now) {
			late = append(late, c)
		}
	}
	return late
}

func (c *conn) late(now int64) bool {
	r := c.request.Load()
	return isPast(&c.readBy, now) || isPast(&c.writeBy, now) || r != nil && isPast(&r.by, now)
}

// end ends what waits for the client too long, and the request.
func (c *conn) end(now int64) {
	c.ending.Lock()
	defer c.ending.Unlock()
	if passed(&c.readBy, now) {
		_ = c.Conn.SetReadDeadline(longAgo) // it fails when it is closed
	}
	if passed(&c.writeBy, now) {
		_ = c.Conn.SetWriteDeadline(longAgo)
	}
	if d := c.request.Load(); d != nil {
		d.end(now)
	}
}

// SetReadDeadline bounds the reads to come. Those that have failed stay failed.
func (c *conn) SetReadDeadline(t time.Time) error {
	if c.readBy.Swap(c.conns.clock(t)) != overdue {
		return nil
	}
	c.ending.Lock() // so that the watch is done with it
	defer c.ending.Unlock()
	return c.Conn.SetReadDeadline(time.Time{})
}

// SetWriteDeadline bounds the writes to come.
func (c *conn) SetWriteDeadline(t time.Time) error {
	if c.writeBy.Swap(c.conns.clock(t)) != overdue {
		return nil
	}
	c.ending.Lock()
	defer c.ending.Unlock()
	return c.Conn.SetWriteDeadline(time.Time{})
}

// SetDeadline bounds both.
func (c *conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

var _ net.Conn = (*conn)(nil)
