package api

import (
	"context"
	"net"
	"slices"
	"strconv"
	"time"

	"plusone/hotpath/like"
)

// streamHeader begins a stream, up to its id. It ends with its connection.
const streamHeader = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n" +
	"X-Content-Type-Options: nosniff\r\nX-Accel-Buffering: no\r\nConnection: close\r\nX-Request-Id: "

// stream tells of the counts of up to maxItems items whenever they change, until
// the client goes or the server ends. Who comes back with Last-Event-ID is told what
// has changed since.
func (s *Server) stream(ctx context.Context, c *call) error {
	items, err := itemsOf(c.query)
	if err != nil {
		return err
	}
	slices.Sort(items)
	items = slices.Compact(items)
	if !s.hub.enter() {
		return errOverloaded
	}
	readings, err := s.readings(ctx, items)
	if err != nil {
		s.hub.leave()
		return err
	}
	nc := c.http.Conn().(*conn) // it is our listener's
	v, ok := newViewer(nc.Conn)
	if !ok || nc.over {
		s.hub.leave()
		return errOverloaded
	}
	last := lastEvent(c.http.Request.Header.Peek("Last-Event-ID"))
	header := append(s.appendAdmission(append([]byte(streamHeader), c.id...), c), "\r\n\r\n"...)
	c.http.HijackSetNoResponse(true)
	c.http.Hijack(func(net.Conn) {
		s.conns.forget(nc) // it is the hub's from now on
		if !v.send(header, time.Now()) || !s.hub.join(v, readings, last) {
			v.close()
			s.hub.leave()
		}
	})
	return nil
}

// readings are what streams know already, and what has to be read.
func (s *Server) readings(ctx context.Context, items []string) ([]like.Reading, error) {
	known, missing := s.hub.fresh(items, time.Now())
	readings := make([]like.Reading, 0, len(items))
	if len(missing) > 0 {
		var err error
		if readings, err = s.counter.Read(ctx, missing, ""); err != nil {
			return nil, err
		}
	}
	for _, r := range known {
		readings = append(readings, r)
	}
	return readings, nil
}

// lastEvent is the time of the last event that a client knows, zero when it knows
// none.
func lastEvent(id []byte) time.Time {
	ms, err := strconv.ParseInt(string(id), 10, 64)
	if err != nil || ms <= 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}
